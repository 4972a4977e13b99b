"""Errors that the user can fix: shown as one line, with exit status 2."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Bad input. The message names the problem and the remedy; the user sees nothing else."""


def one_line(error: BaseException) -> str:
    """The text of an error in one line, or its kind if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def os_errors_as_one_line(problem: str, remedy: str = "") -> Iterator[None]:
    """Turn an OSError into a UserError: `problem`, the system's reason, and `remedy`."""
    try:
        yield
    except OSError as error:
        advice = f"; {remedy}" if remedy else ""
        raise UserError(f"{problem}: {error.strerror}{advice}") from None
