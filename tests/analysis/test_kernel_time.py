"""The operating system's time against the script of the fake: known milliseconds in known phases."""

from pathlib import Path

import pytest

from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.comparison.gap import measure_gaps
from epoch_gap.profiler.comparison.kernel_gap import mean_kernel_seconds, measure_kernel_gap
from epoch_gap.profiler.comparison.subject import Subject, group_runs
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports.charts import breakdown
from epoch_gap.reports.charts.breakdown_bars import bars
from epoch_gap.reports.page.rows import kernel_rows
from epoch_gap.reports.sentences.operating_system import (
    caution_operating_system,
    describe_kernel_gap,
    describe_operating_system,
    predict_kept_memory,
)
from tests.helpers.fake_training import scripted_run
from tests.helpers.runs import MakeRun
from tests.helpers.views import build_view

STEPS = 10.4
"""full steps in the full epoch of a scripted run"""
SLOW = {"costs": "forward=20,backward=60,step=5", "system": "forward=2,backward=18", "faults": "backward=4000"}
FAST = {"costs": "forward=10,backward=20,step=5", "system": "backward=1", "faults": "backward=10"}


def slow_and_fast(folder: Path) -> list[Subject]:
    runs = [scripted_run(folder, lazy=False, **SLOW), scripted_run(folder, lazy=True, **FAST)]
    return group_runs(runs)


def test_system_time_is_found_in_its_phase_and_sums_to_the_epochs(tmp_path: Path) -> None:
    analysis = analyse_run(scripted_run(tmp_path, lazy=False, **SLOW))
    kernel = analysis.kernel
    assert kernel is not None
    assert kernel.step.value == pytest.approx(0.020, rel=1e-3)
    assert kernel.epoch_phases is not None
    assert kernel.epoch_phases[Phase.FORWARD].value == pytest.approx(STEPS * 0.002, rel=1e-3)
    assert kernel.epoch_phases[Phase.BACKWARD].value == pytest.approx(STEPS * 0.018, rel=1e-3)
    assert sum(part.value for part in kernel.epoch_phases.values()) == pytest.approx(kernel.epoch.value)
    assert kernel.steps.cpu_share == pytest.approx(20 / 85, rel=1e-3)
    assert kernel.by_phase[Phase.BACKWARD].kernel_share == pytest.approx(18 / 60, rel=1e-2)
    assert kernel.by_phase[Phase.BACKWARD].cores_busy == pytest.approx(1, rel=1e-2)
    assert kernel.by_phase[Phase.BACKWARD].faults == pytest.approx(4000 / 0.060, rel=1e-2)


def test_without_fenced_steps_only_the_total_is_known(tmp_path: Path) -> None:
    kernel = analyse_run(scripted_run(tmp_path, lazy=False, fence="none", **SLOW)).kernel
    assert kernel is not None
    assert kernel.step.value == pytest.approx(0.020, rel=1e-3)
    assert (kernel.epoch_phases, kernel.by_phase) == (None, {})


def test_a_process_without_fenced_steps_is_split_as_the_others_are(tmp_path: Path) -> None:
    fences = ("alternate", "none", "none")
    runs = [scripted_run(tmp_path / fence, lazy=False, fence=fence, **SLOW) for fence in fences]
    subject = Subject.from_runs(runs)
    seconds = mean_kernel_seconds(subject)
    assert seconds[Phase.BACKWARD] == pytest.approx(STEPS * 0.018, rel=1e-3)
    assert sum(seconds.values()) == pytest.approx(STEPS * 0.020, rel=1e-3)


def test_a_run_without_usage_has_no_kernel_time(make_run: MakeRun) -> None:
    subject = Subject.from_runs([make_run([1.0] * 6)])
    assert subject.analyses[0].kernel is None
    assert mean_kernel_seconds(subject) == {}
    assert describe_operating_system(subject) is None
    assert caution_operating_system(subject) is None
    assert predict_kept_memory([subject]) is None


def test_the_kernels_part_of_a_gap_sums_over_the_phases(tmp_path: Path) -> None:
    gap = measure_gaps(slow_and_fast(tmp_path))[0]
    kernel = measure_kernel_gap(gap)
    assert kernel is not None
    assert kernel.seconds.value == pytest.approx(STEPS * 0.019, rel=1e-2)
    assert kernel.by_phase is not None
    assert sum(part.value for part in kernel.by_phase.values()) == pytest.approx(kernel.seconds.value)
    assert kernel.by_phase[Phase.BACKWARD].value == pytest.approx(STEPS * 0.017, rel=1e-2)
    text = describe_kernel_gap(gap, kernel)
    assert text is not None
    assert text.startswith("of which operating system: 0.19")
    assert text.endswith("of the gap (backward 0.177 s, forward 0.021 s)")


def test_the_share_the_faults_and_the_phases_are_named(tmp_path: Path) -> None:
    slow = slow_and_fast(tmp_path)[0]
    text = describe_operating_system(slow)
    assert text is not None
    assert "operating system 0.020 s of 0.08" in text
    assert "23.5 % of the CPU time" in text
    assert "page faults/s, mostly in backward; backward uses 1.0 of 2 cores" in text


def test_a_large_share_is_a_caution_with_a_remedy_and_a_small_one_is_not(tmp_path: Path) -> None:
    slow, fast = slow_and_fast(tmp_path)
    text = caution_operating_system(slow)
    assert text is not None
    assert "run both sides with ALLOCATOR=keep" in text
    assert caution_operating_system(fast) is None


def test_what_keeping_memory_is_worth_is_a_prediction(tmp_path: Path) -> None:
    text = predict_kept_memory(slow_and_fast(tmp_path))
    assert text is not None
    assert text.startswith("ALLOCATOR=keep would save about 0.2")
    assert text.endswith("Only a run shows it.")


def test_the_table_has_cores_and_faults_by_phase_and_the_gaps_part(tmp_path: Path) -> None:
    view = build_view([run for subject in slow_and_fast(tmp_path) for run in subject.runs])
    *phases, whole = kernel_rows(view)
    backward = next(row for row in phases if row["phase"] is Phase.BACKWARD)
    seconds, cores, faults = (cell["seconds"] for cell in backward["cells"][:3])
    assert (seconds, cores, backward["gap"]["seconds"]) == ("0.187 s", "1.00", "0.177 s")
    assert faults == "67 000", "4000 in 60 ms"
    assert whole["phase"] is None
    assert whole["gap"]["seconds"].startswith("0.19")


def test_each_bar_has_the_operating_systems_part_of_its_phases(tmp_path: Path) -> None:
    view = build_view([run for subject in slow_and_fast(tmp_path) for run in subject.runs])
    slow, *others = bars(view)
    assert slow.kernel[Phase.BACKWARD] == pytest.approx(STEPS * 0.018, rel=1e-2)
    lazy_as_charged = next(bar for bar in others if bar.mode == "as charged" and bar.title != slow.title)
    assert lazy_as_charged.kernel == {}, "its counters have a phase only where the work is done"
    legend = breakdown.static(view).axes[0].get_legend()
    assert legend is not None
    assert breakdown.KERNEL in [text.get_text() for text in legend.get_texts()]


def test_the_page_shows_the_part_after_the_rest_of_its_phase(tmp_path: Path) -> None:
    view = build_view([scripted_run(tmp_path, lazy=False, **SLOW)])
    (spec, *_) = breakdown.live(view).variants.values()
    parts = [trace["x"][0] for trace in spec["data"] if trace["name"] == "backward"]
    assert sum(parts) == pytest.approx(STEPS * 0.060, rel=1e-2)
    assert parts[1] == pytest.approx(STEPS * 0.018, rel=1e-2)
