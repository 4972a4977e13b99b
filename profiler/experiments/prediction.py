"""Rules that predict the effect of an intervention, in wall seconds per step."""

from dataclasses import dataclass

from epoch_gap.profiler.drilldown.spans import OperatorCategory
from epoch_gap.profiler.phases import Phase


@dataclass(frozen=True)
class Remove:
    """The phase disappears."""

    phase: Phase


@dataclass(frozen=True)
class Substitute:
    """The operators of a category take the time that they take in the framework `by`."""

    category: OperatorCategory
    phases: tuple[Phase, ...]
    by: str
    """the registry's name"""


@dataclass(frozen=True)
class Ratio:
    """The phase shrinks by the ratio of two variants that are timed in isolation on the same arrays."""

    phase: Phase
    isolated: str
    """a function of the experiment's module that makes the two variants, the present one first"""


@dataclass(frozen=True)
class Move:
    """The time of a phase moves to another; the sum stays."""

    from_: Phase
    to: Phase


@dataclass(frozen=True)
class Null:
    """Nothing changes."""


@dataclass(frozen=True)
class Scale:
    """The same CPU seconds on this number of threads: an upper bound."""

    threads: int


@dataclass(frozen=True)
class Delay:
    """The phase takes exactly this much longer."""

    phase: Phase
    seconds: float


@dataclass(frozen=True)
class SystemTime:
    """The operating system's time disappears."""


Prediction = Remove | Substitute | Ratio | Move | Null | Scale | Delay | SystemTime
