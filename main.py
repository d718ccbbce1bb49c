"""Facial expressions from the command line: train, evaluate, predict, explain, export, serve.

python main.py --config=configs/cnn.py                          train on built-in synthetic faces
python main.py --config=configs/cnn.py --config.dataset=PATH    ... on a CSV file or a folder of pictures
python main.py --mode=eval --workdir=runs/cnn                   confusion matrix, per-class figures
python main.py --config=configs/cnn.py --mode=predict --input=PATH --output=OUT.csv
python main.py --config=configs/cnn.py --mode=explain [--input=PATH] [--output=DIR]
python main.py --config=configs/cnn.py --mode=export --output=DIR
python main.py --config=configs/cnn.py --mode=serve             a web page for photos

After ``pip install .`` the same program is ``fer-jax``. ``--help`` lists the flags.
"""

import os
import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until the program watches signals itself, which needs some imports: no traceback.
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(128 + number))

from fer_jax.runtime.start import program

if __name__ == "__main__":
    program()
