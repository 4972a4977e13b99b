"""Sums of numbers that are not read yet, such as the losses of an epoch's steps."""

from collections.abc import Callable


class UnreadSum:
    """A sum that takes part in `+` and `/` like a number, and reads its parts, in their order, when it is asked."""

    def __init__(self, read: Callable[[], float]) -> None:
        self._sum: float = 0
        self._unread: list[Callable[[], float]] = [read]

    def read(self) -> float:
        """The sum so far."""
        for read in self._unread:
            self._sum += read()
        self._unread.clear()
        return self._sum

    def __radd__(self, number: float) -> "UnreadSum":
        """`number` + this sum; the sum takes the number in."""
        self._unread.insert(0, lambda: number)
        return self

    def __iadd__(self, other: "UnreadSum | float") -> "UnreadSum":
        self._unread.append(other.read if isinstance(other, UnreadSum) else lambda: other)
        return self

    def __float__(self) -> float:
        return float(self.read())

    def __truediv__(self, count: int) -> "UnreadMean":
        return UnreadMean(self, count)


class UnreadMean:
    """A sum that is not read yet, over a count."""

    def __init__(self, total: UnreadSum, count: int) -> None:
        self._total, self._count = total, count

    def __float__(self) -> float:
        return self._total.read() / self._count

    def __str__(self) -> str:
        return "not read"
