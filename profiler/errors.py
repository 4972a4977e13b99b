"""Errors that the user can fix: shown as one line, with exit status 2."""


class UserError(Exception):
    """Bad input. The message names the problem and the remedy; the user sees nothing else."""
