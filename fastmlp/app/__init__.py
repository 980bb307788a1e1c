"""Implementation of the command line ``python -m fastmlp``. It is not part of the public API."""


class UserError(Exception):
    """An error that the user can correct. The message is one line."""
