"""Markdown as text: sentences, lists and tables, with the user's own text, such as a label, escaped."""

import re
from collections.abc import Iterable, Sequence

from epoch_gap.profiler.printable import printable

_SPECIAL = re.compile(r"[\\*\[\]]|<(?=[A-Za-z/!?])|(?<!\w)_|_(?!\w)|^[#>+-](?=\s)|~~")
"""what would start a format, a link, a tag or a list; an underscore within a word does not"""


def text(sentence: str) -> str:
    """A sentence in one line, escaped; what stands between two backticks stays code."""
    parts = printable(sentence).split("`")
    if len(parts) % 2 == 0:  # the last backtick has no partner
        parts[-2:] = [f"{parts[-2]}'{parts[-1]}"]
    marked = (f"`{part}`" if i % 2 and part else _escape(part) for i, part in enumerate(parts))
    return "".join(marked)


def _escape(part: str) -> str:
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", part)


def bullets(sentences: Sequence[str], most: int | None = None, rest: str = "") -> list[str]:
    """A list of at most `most` lines; `rest` says where the sentences are that are left out."""
    kept = list(sentences)
    if most is not None and len(kept) > most:
        kept[most - 1 :] = [_more(len(kept), most, rest)]
    return [f"- {text(sentence)}" for sentence in kept]


def table(rows: Sequence[Sequence[str]], most: int | None = None, rest: str = "", left: int = 1) -> list[str]:
    """The lines of a table whose first row is its head, with at most `most` rows below it.

    Columns from `left` on are flush right. `rest` says where the rows are that are left out.
    """
    head, *body = rows
    if most is not None and len(body) > most:
        body = [*body[: most - 1], [_more(len(body), most, rest), *[""] * (len(head) - 1)]]
    sides = ["---" if i < left else "--:" for i in range(len(head))]
    return [_row(map(_cell, head)), _row(sides), *(_row(map(_cell, row)) for row in body)]


def _more(count: int, most: int, rest: str) -> str:
    return f"{count - most + 1} more: {rest}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: str) -> str:
    """A bar would end the cell, even within code."""
    return text(value).replace("|", "\\|")
