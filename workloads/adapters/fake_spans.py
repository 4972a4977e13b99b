"""Times of the scripted framework's layers: one layer, `fc`, takes all of forward and backward."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from epoch_gap.profiler.drilldown.spans import Direction, OperatorCategory, Spans

LAYER = "fc"


class FakeLayerTimings:
    """`LayerTimings` of the scripted framework; `compute` does the work that a lazy fake has deferred."""

    operators = None
    peak_rates = None

    def __init__(self, compute: Callable[[], None]) -> None:
        self._compute = compute
        self._spans: Spans | None = None

    @contextmanager
    def layers(self, spans: Spans) -> Iterator[None]:
        self._spans = spans
        try:
            yield
        finally:
            self._spans = None

    def category(self, operator: str) -> OperatorCategory:
        return OperatorCategory.LINEAR

    @contextmanager
    def span(self, direction: Direction) -> Iterator[None]:
        """The span of the layer, if layers are watched; a watched layer waits for its result."""
        if self._spans is None:
            yield
            return
        self._spans.open(direction, LAYER)
        yield
        self._compute()
        self._spans.close()
