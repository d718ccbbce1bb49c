"""Facial expressions from the command line: train, evaluate, predict, explain, export, serve.

``python main.py --help`` shows how. After ``pip install .`` the same program is ``fer-jax``.
"""

import os
import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until the program watches signals itself, which needs some imports: no traceback.
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(128 + number))

from fer_jax.runtime.start import program

if __name__ == "__main__":
    program()
