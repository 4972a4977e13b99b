"""Clocks that move only when a test moves them."""


class ScriptedClock:
    """Nanoseconds that pass only when `advance` is called."""

    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        return self.now

    def advance(self, ns: int) -> None:
        self.now += ns


class TickingClock(ScriptedClock):
    """A clock that moves a little at every look, so that a busy-wait ends."""

    TICK_NS = 4_000

    def __call__(self) -> int:
        self.advance(self.TICK_NS)
        return self.now
