"""The glossary's text about each clock agrees with the calls of the loop between its marks."""

import pickle
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from epoch_gap.profiler.phases import CLOCK, MEANING, Phase, all_phases, in_order
from epoch_gap.workloads import loop
from epoch_gap.workloads.adapters.fake import Fake
from epoch_gap.workloads.progress import Progress

UNSPLIT = (Phase.ZERO_GRAD, Phase.FORWARD, Phase.MATERIALIZE, Phase.BACKWARD, Phase.STEP)


class Spy:
    """In the recorder's place: which mark came before each, and which of the framework's methods ran in between."""

    def __init__(self) -> None:
        self.before: dict[Phase, set[Phase]] = defaultdict(set)
        self.called: dict[Phase, set[str]] = defaultdict(set)
        self.last: Phase | None = None
        self.calls: set[str] = set()

    def mark(self, phase: Phase) -> None:
        self.before[phase] |= {self.last} if self.last else set()
        self.called[phase] |= self.calls
        self.last, self.calls = phase, set()

    def begin(self, *_: Any) -> None:
        self.last = None

    start_epoch = start_stage = close_step = close_outside = resume = begin

    def leave_stage(self) -> None:
        pass

    def close_epoch(self, *_: float) -> None:
        pass


class Watched:
    """The fake, telling the spy of every call."""

    def __init__(self, fake: Fake, spy: Spy) -> None:
        self._fake, self._spy = fake, spy

    def __getattr__(self, name: str) -> Any:
        if callable(getattr(self._fake, name)):
            self._spy.calls.add(name)
        return getattr(self._fake, name)


def watched_loop(folder: Path) -> Spy:
    spy: Any = Spy()
    fake = Fake(seed=1, batch_size=2, costs="", lazy=True)
    framework: Any = Watched(fake, spy)
    arrays: Any = range(6), range(6)
    with Path("/dev/null").open("w") as nowhere:
        loop.train(
            framework,
            fake.loader(*arrays, 2, True, loop.timed_collate(spy)),
            fake.loader(*arrays, 2, False, lambda collate: collate),
            spy,
            Progress("fake", 3, 3, nowhere),
            epochs=2,
            should_stop=lambda step: False,
            checkpoint_folder=folder,
        )
    return spy


def test_every_clock_spans_the_marks_and_calls_that_the_glossary_lists(tmp_path: Path) -> None:
    spy = watched_loop(tmp_path)
    spy.before[Phase.COMPILED] = spy.before[Phase.ZERO_GRAD]  # the loop marks its parts, the recorder charges it
    spy.called[Phase.COMPILED] = set().union(*(spy.called[phase] for phase in UNSPLIT))
    for phase in Phase:
        assert set(re.findall(r"`(\w+)`", CLOCK[phase])) == spy.before[phase], phase
        assert set(re.findall(r"(\w+)\(\)", CLOCK[phase])) == spy.called[phase], phase


def test_the_glossary_lists_every_phase_in_order() -> None:
    assert list(MEANING) == list(CLOCK) == list(Phase)


def test_a_loops_own_phase_is_one_object_and_no_member() -> None:
    own = Phase("clip_grad")
    assert own is Phase("clip_grad")
    assert pickle.loads(pickle.dumps(own)) is own
    assert (own, f"{own}_ns", own.is_own) == ("clip_grad", "clip_grad_ns", True)
    assert own not in list(Phase)
    assert not any(phase.is_own for phase in Phase)


def test_own_phases_are_listed_after_those_of_every_step_in_their_order() -> None:
    own = [Phase("zeta"), Phase("alpha")]
    listed = all_phases(own)
    assert listed[listed.index(Phase.LOGGING) + 1 : listed.index(Phase.FLUSH)] == own
    assert in_order([Phase.OTHER, own[1], Phase.FETCH]) == [Phase.FETCH, own[1], Phase.OTHER]
