"""Interventions: what an experiment changes in a training, and how it is put back.

An intervention replaces attributes of the objects of one training: a method of the framework, the loader's collation,
the progress bar's update. The loop calls what it finds there, so it has no branch for any intervention.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.workloads.framework import Batch, Collate, Framework, Images, Labels, WrapCollate
from epoch_gap.workloads.progress import Progress

Undo = Callable[[], None]
"""puts back what an intervention has changed"""


class Collation:
    """The collation of a loader, which can be replaced while the loader is in use; called as a `WrapCollate`."""

    collate: Collate
    """the loader's own, or its replacement"""

    def __init__(self, wrap: WrapCollate) -> None:
        self._wrap = wrap

    def __call__(self, collate: Collate) -> Collate:
        """The wrapped collation for the loader."""
        self.collate = collate
        return self._wrap(lambda samples: self.collate(samples))


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A training that is about to start, or between two of its steps: everything that an intervention touches."""

    framework: Framework
    progress: Progress
    recorder: Recorder
    loader: Iterable[Batch]
    """the framework's own loader of the training images"""
    collation: Collation
    """of `loader`"""
    images: Images
    labels: Labels
    seed: int
    phase: Phase | None = None
    """the phase that gets a delay"""


def replace_attribute(owner: Any, name: str, value: Any) -> Undo:
    """Set an attribute of an object, a class or a module."""
    was_own, before = name in vars(owner), getattr(owner, name, None)
    setattr(owner, name, value)

    def undo() -> None:
        if was_own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)

    return undo


def replace_in_training(
    framework: Framework, owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Undo:
    """Replace the method `name` of `owner` by what `make` makes of it, except during evaluation."""
    before, evaluating = getattr(owner, name), framework.evaluating
    undo_method = replace_attribute(owner, name, make(before))
    replacement = getattr(owner, name)

    @contextmanager
    def evaluating_as_before() -> Iterator[None]:
        setattr(owner, name, before)
        try:
            with evaluating():
                yield
        finally:
            setattr(owner, name, replacement)

    undo_evaluating = replace_attribute(framework, "evaluating", evaluating_as_before)
    return undo_all([undo_method, undo_evaluating])


def undo_all(undos: Iterable[Undo]) -> Undo:
    """One undo for several interventions: the last one is undone first."""
    done = list(undos)

    def undo() -> None:
        while done:
            done.pop()()

    return undo


def delay_phase(workload: Workload, seconds: float) -> Undo:
    """Busy-wait at the end of `workload.phase` in every training step, on the clock of the recorder."""
    assert workload.phase is not None, "a delay needs a phase"
    clock, framework = workload.recorder.clock, workload.framework
    others = {Phase.COLLATE: (workload.collation, "collate"), Phase.LOGGING: (workload.progress, "update")}
    owner, name = others.get(workload.phase, (framework, str(workload.phase)))

    def delayed(method: Callable[..., Any]) -> Callable[..., Any]:
        def method_and_wait(*args: Any) -> Any:
            result = method(*args)
            end = clock() + round(seconds * 1e9)
            while clock() < end:
                pass
            return result

        return method_and_wait

    return replace_in_training(framework, owner, name, delayed)


DELAYABLE = (
    *(Phase.COLLATE, Phase.TO_DEVICE, Phase.ZERO_GRAD, Phase.FORWARD, Phase.MATERIALIZE, Phase.BACKWARD),
    *(Phase.STEP, Phase.METRICS, Phase.LOGGING),
)
"""The phases that are a call of the loop, in every step."""


def check_delayable(phase: Phase, framework: Framework) -> None:
    """Raise UserError unless `delay_phase` can delay this phase of the framework."""
    able = [other for other in DELAYABLE if other in framework.phases]
    if phase not in able:
        raise UserError(f"{framework.name} cannot be delayed in {phase}; choose one of: {', '.join(able)}")


def scale_script(framework: Any, factors: Mapping[Phase, float]) -> Undo:
    """Multiply the costs of phases of the scripted fake: its stand-in for work that takes less or more time."""
    scaled = {phase: ms * factors.get(phase, 1.0) for phase, ms in framework.costs.items()}
    return replace_attribute(framework, "costs", scaled)


def check_phase(phase: Phase, framework: Framework) -> None:
    """Raise UserError unless the framework has the phase that an intervention changes."""
    if phase not in framework.phases:
        raise UserError(f"{framework.name} on this device has no phase {phase}")
