"""The one exception whose message is written for the person at the keyboard."""


class UserError(ValueError):
    """Bad input or a bad request, explained in one line.

    The message names the file (and its line), what was expected and what to do. ``main.py`` prints it
    without a traceback and exits with status 1.
    """
