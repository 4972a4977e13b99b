"""What a user can put right: shown as one line, with exit status 2."""


class UserError(Exception):
    """Bad input. The message says what is wrong and what to do; it is all that the user sees."""
