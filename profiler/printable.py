"""Text of the user's, such as a label, in one line of a terminal or of a picture."""

import re

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
"""characters that end a line, move the cursor, or turn the direction of the text after them"""


def printable(text: str) -> str:
    """`text` with a space in place of each run of control characters."""
    return _CONTROLS.sub(" ", text)
