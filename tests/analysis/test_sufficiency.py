import pytest

from epoch_gap.profiler.analysis.sufficiency import LEAST_STEADY, Sufficiency
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import ASRUN_BLOCK, FENCED_BLOCK, POLICIES, TimingMode, ends_asrun_block
from epoch_gap.profiler.recording.records import ResourceUsage, Step


def steps_until_sufficient(
    fence: str = "alternate", needs_flush: bool = False, faults: list[int] | None = None, most: int = 200
) -> int | None:
    """The number of steps of 1 s that suffice; None if `most` do not."""
    schedule = POLICIES[fence]
    rule = Sufficiency(10, schedule, needs_flush)
    for i in range(most):
        usage = None if faults is None else ResourceUsage(minor_faults=faults[min(i, len(faults) - 1)])
        ns = 10**9
        rule.add(Step("train", schedule(i), 0, i, 10, 1.0, 5, i * ns, ns, {Phase.FORWARD: ns}, usage=usage))
        if rule.is_sufficient():
            return i + 1
    return None


@pytest.mark.parametrize(("fence", "needs_flush"), [("none", False), ("alternate", False), ("alternate", True)])
def test_steps_of_equal_length_suffice_as_early_as_possible(fence: str, needs_flush: bool) -> None:
    least = Sufficiency(10, POLICIES[fence], needs_flush).least_steps
    assert steps_until_sufficient(fence, needs_flush) == least


def test_the_fewest_steps_hold_both_timing_modes() -> None:
    least = Sufficiency(10, POLICIES["alternate"]).least_steps
    assert least == ASRUN_BLOCK + FENCED_BLOCK
    assert Sufficiency(10, POLICIES["none"]).least_steps == 1 + LEAST_STEADY[TimingMode.ASRUN]


def test_a_lazy_device_ends_with_as_run_steps() -> None:
    least = Sufficiency(10, POLICIES["alternate"], needs_flush=True).least_steps
    assert ends_asrun_block(POLICIES["alternate"], least)


def test_a_process_whose_page_faults_still_fall_goes_on() -> None:
    """PyTorch's start on glibc: the heap grows for 60 steps, and the page faults fall to a tenth."""
    faults = [round(250_000 - 225_000 * min(i, 60) / 60) for i in range(80)]
    n = steps_until_sufficient(faults=faults)
    assert n is not None
    assert n >= 55


def test_page_faults_that_wander_or_vanish_after_the_first_step_suffice_at_once() -> None:
    wandering = [580, 391, 484, 418, 441, 362, 460, 417, 348, 228, 122, 159, 146, 263, 437, 410]
    n = steps_until_sufficient(faults=[1000 * n for n in wandering])
    assert n is not None
    assert n <= 16
    assert steps_until_sufficient(faults=[500_000, 900, 2, 1, 0, 1, 0]) == ASRUN_BLOCK + FENCED_BLOCK


def test_the_mean_leaves_out_the_first_step() -> None:
    rule = Sufficiency(10, POLICIES["none"])
    assert rule.seconds_per_step == 0
    for i, seconds in enumerate((5.0, 1.0, 2.0)):
        ns = round(seconds * 1e9)
        rule.add(Step("train", TimingMode.ASRUN, 0, i, 10, 1.0, 5, i, ns, {Phase.FORWARD: ns}))
        assert rule.seconds_per_step == (5.0, 1.0, 1.5)[i]
