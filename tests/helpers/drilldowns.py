"""Drill-downs with known layers and stacks."""

from epoch_gap.profiler.drilldown.conditions import DrilldownConditions, DrilldownData, DrilldownFramework
from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.spans import Direction, Key, OperatorCategory, Spans
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import TimingMode
from epoch_gap.profiler.recording.records import Step
from epoch_gap.profiler.storage.manifest import DataKind
from epoch_gap.workloads.architecture import resnet18
from epoch_gap.workloads.loop_lines import PHASES


def step(forward: float, backward: float) -> Step:
    durations = {Phase.FORWARD: round(forward * 1e9), Phase.BACKWARD: round(backward * 1e9)}
    return Step("train", TimingMode.FENCED, 0, 0, 2, 1.0, 1, 0, sum(durations.values()), durations)


CONDITIONS = DrilldownConditions(
    framework=DrilldownFramework(name="fake", version="1", device="cpu"),
    batch_size=2,
    data=DrilldownData(kind=DataKind.CIFAR10),
)


def drilldown(
    forward: dict[str, float], backward: dict[str, float], conditions: DrilldownConditions = CONDITIONS
) -> Drilldown:
    """A run of two steps whose layers take these seconds."""
    sides = {Direction.FORWARD: forward, Direction.BACKWARD: backward}
    spans = Spans()
    spans.steps = [{Key(d, name, ""): round(s * 1e9) for d, side in sides.items() for name, s in side.items()}] * 2
    plain, watched = step(2.0, 3.0), step(2.5, 4.0)
    peak_rates = {"NumPy GFLOP/s": 100.0, "torch GFLOP/s": 150.0, "NumPy GB/s": 10.0}
    return Drilldown.from_steps(
        conditions,
        [plain] * 2,
        [watched] * 2,
        spans,
        lambda operator: OperatorCategory.LINEAR,
        peak_rates,
        list(resnet18.layers()),
    )


LOOP = "_train_epoch (workloads/loop.py:{})"


def line_of(phase: Phase, function: str = "_train_epoch") -> int:
    return min(line for (name, line), p in PHASES.items() if p is phase and name == function)


def raw_stacks() -> str:
    forward, backward, fetch = (LOOP.format(line_of(p)) for p in (Phase.FORWARD, Phase.BACKWARD, Phase.FETCH))
    timed = f"timed (workloads/loop.py:{line_of(Phase.COLLATE, 'timed')})"
    rows = {
        f"main (m.py:1);{forward};forward (lucid/conv.py:10);einsum (lucid/ops.py:3)": 40,
        f"main (m.py:1);{forward};forward (lucid/conv.py:12)": 10,
        f"main (m.py:1);{backward};backward (lucid/tensor.py:9)": 100,
        f"main (m.py:1);{fetch};__next__ (lucid/data.py:4)": 3,
        f"main (m.py:1);{fetch};__next__ (lucid/data.py:5);{timed};stack (numpy/shape.py:7)": 5,
        "main (m.py:1);load (m.py:2)": 7,
    }
    return "".join(f"{stack} {count}\n" for stack, count in rows.items())
