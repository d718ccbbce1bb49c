"""The one exception that is meant for the person at the keyboard."""


class UserError(ValueError):
    """Bad input or a bad request, told in one line.

    The message names the file (and the line in it), what was expected and what to do. ``main.py``
    prints it without a traceback and exits with status 1.
    """
