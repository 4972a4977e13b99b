"""The contract of all adapters, the fake included, and the phases that delays in their frameworks are charged to."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.analysis.stopping import StoppingRule
from epoch_gap.profiler.phases import EPOCH_PHASES, Phase
from epoch_gap.profiler.recording.fencing import POLICIES, TimingMode
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.recording.records import Step
from epoch_gap.workloads import loop, registry
from epoch_gap.workloads.architecture import resnet18
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.optimizer import ADAM
from epoch_gap.workloads.progress import Progress
from epoch_gap.workloads.registry import Options
from tests.helpers.adapters import BATCH, SEED, SIDES, STEPS, build, images
from tests.helpers.clocks import ScriptedClock
from tests.helpers.mlx_work import operations_move, pending_operations, reachable_arrays
from tests.helpers.recorded import RecordingSink

side = pytest.mark.parametrize(("name", "device"), SIDES, ids=map("-".join, SIDES))


def train(framework: Framework, clock: Any = None, **options: Any) -> RecordingSink:
    sink = RecordingSink(ScriptedClock())
    schedule = options.get("schedule", POLICIES["none"])
    clock = clock or ScriptedClock()
    recorder = Recorder(
        framework.phases, sink, clock, schedule=schedule, wait=framework.wait, charged_to=framework.charged_to
    )
    x, y = images(BATCH * STEPS + 1)
    with Path("/dev/null").open("w") as nowhere:
        loop.train(
            framework,
            framework.loader(x, y, BATCH, True, loop.timed_collate(recorder)),
            framework.loader(x[:BATCH], y[:BATCH], BATCH, False, lambda collate: collate),
            recorder,
            Progress(framework.name, STEPS, STEPS, nowhere),
            epochs=options.get("epochs", 1),
            should_stop=StoppingRule(BATCH, BATCH * STEPS + 1, options.get("steps")),
            checkpoint_folder=options.get("checkpoint_folder"),
        )
    return sink


def training(sink: RecordingSink) -> list[Step]:
    return [step for step in sink.kept if step.stage == "train"]


@dataclass(frozen=True)
class Training:
    """A finished training, and its adapter as it was before; the network itself is not kept."""

    parameters: int
    lr: float
    phases: frozenset[Phase]
    execution: str
    checkpoint_name: str
    files: list[str]
    """in the folder of the checkpoint"""
    sink: RecordingSink


Trained = Callable[[str, str], Training]
EPOCHS = {("torch", "cpu"): 4, ("lucid", "cpu"): 4}
"""of the sides that show that they learn; the others train for one"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trains a side, once for all tests of this module."""

    @cache
    def train_once(name: str, device: str) -> Training:
        folder = tmp_path_factory.mktemp("checkpoint")
        framework = build(name, device)
        before = framework.parameter_count(), framework.lr, framework.phases, framework.describe()["execution"]
        sink = train(framework, epochs=EPOCHS.get((name, device), 1), checkpoint_folder=folder)
        return Training(*before, framework.checkpoint_name, [path.name for path in folder.iterdir()], sink)

    return train_once


@side
def test_an_adapter_trains_every_image_once_and_marks_every_phase_it_has(
    name: str, device: str, trained: Trained
) -> None:
    done = trained(name, device)
    assert done.parameters == resnet18.parameter_count()
    per_epoch = done.phases & set(EPOCH_PHASES)
    per_step = done.phases - per_epoch
    for epoch in done.sink.ended:
        steps = [step for step in training(done.sink) if step.epoch == epoch.epoch]
        assert [step.images for step in steps] == [BATCH] * STEPS + [1]
        assert all(np.isfinite(step.loss) and 0 <= step.correct <= step.images for step in steps)
        assert all(step.durations.keys() == per_step for step in steps)
        assert epoch.lr == done.lr == ADAM.lr
        assert per_epoch <= epoch.durations.keys()
    assert (Phase.FLUSH in per_epoch) == (done.execution == "lazy")
    assert done.files == [done.checkpoint_name]
    assert done.execution in ("eager", "lazy")


@side
def test_an_adapter_describes_the_clock_of_each_phase(name: str, device: str) -> None:
    check_clocks(build(name, device))


@pytest.mark.parametrize(
    "framework",
    [
        partial(registry.build, "fake", Options("cpu", SEED, lazy=True)),
        partial(registry.build, "mlx", Options("cpu", SEED, compiled=True)),
    ],
    ids=["lazy fake", "compiled mlx"],
)
def test_a_variant_describes_the_clock_of_each_phase(framework: Callable[[], Framework]) -> None:
    check_clocks(framework())


def check_clocks(framework: Framework) -> None:
    """One text for each phase but `other`, which times no call of the framework."""
    assert framework.clocks.keys() == framework.phases - {Phase.OTHER}
    assert all(text.strip() and len(text) <= 80 for text in framework.clocks.values())


def test_a_lazy_device_has_other_clocks_than_an_eager_one() -> None:
    eager, lazy = build("lucid", "cpu").clocks, build("lucid", "gpu").clocks
    assert {phase for phase in eager if eager[phase] != lazy[phase]} == {
        Phase.TO_DEVICE,
        Phase.FORWARD,
        Phase.MATERIALIZE,
        Phase.BACKWARD,
        Phase.STEP,
        Phase.METRICS,
    }


@pytest.mark.parametrize("name", ["torch", "lucid"])
def test_a_network_learns_a_handful_of_images(name: str, trained: Trained) -> None:
    epochs = trained(name, "cpu").sink.ended
    assert epochs[-1].train_loss < epochs[0].train_loss


@pytest.mark.parametrize(
    ("name", "decays_at", "gamma"), [("torch", 10, 0.1), ("lucid", 5, 0.5)], ids=["torch", "lucid"]
)
def test_the_learning_rate_falls_as_in_the_article(name: str, decays_at: int, gamma: float) -> None:
    framework = build(name, "cpu")
    rates = []
    for _ in range(2 * decays_at + 1):
        rates.append(framework.lr)
        framework.end_epoch()
    assert rates == pytest.approx([1e-3 * gamma ** (epoch // decays_at) for epoch in range(2 * decays_at + 1)])


def lucid_patches() -> dict[str, tuple[Any, str]]:
    import lucid
    import lucid.optim

    return {
        "np.stack": (np, "stack"),
        "lucid.tensor": (lucid, "tensor"),
        "Adam.step": (lucid.optim.Adam, "step"),
        "Tensor.backward": (lucid.Tensor, "backward"),
        "Tensor.eval": (lucid.Tensor, "eval"),
        "Tensor.item": (lucid.Tensor, "item"),
    }


def torch_patches() -> dict[str, tuple[Any, str]]:
    import torch

    return {
        "torch.stack": (torch, "stack"),
        "Tensor.to": (torch.Tensor, "to"),
        "Adam.step": (torch.optim.Adam, "step"),
        "Tensor.backward": (torch.Tensor, "backward"),
        "Tensor.item": (torch.Tensor, "item"),
    }


PATCHES: dict[str, Callable[[], dict[str, tuple[Any, str]]]] = {"lucid": lucid_patches, "torch": torch_patches}
"""the functions that are delayed: the owner and the name of each"""
MOST_CALLS = 1_000
"""of one function in one phase; each delay is as many times longer than the one before, so that their sums differ"""


@dataclass(frozen=True)
class Delayed:
    """Two training steps in which each function takes a time of its own, on a clock that nothing else moves."""

    clocks: Mapping[Phase, str]
    steps: list[dict[str, dict[Phase, int]]]
    """of each: the calls of a function, by the phase that was charged for its delay"""
    parameters: int
    """tensors of the network"""


@pytest.fixture(scope="module")
def delayed() -> Callable[[str, str], Delayed]:
    """Trains a side whose functions are delayed, once for all tests of this module."""

    @cache
    def train_once(name: str, device: str) -> Delayed:
        build(name, device)  # imports the framework
        clock, patches = ScriptedClock(), PATCHES[name]()
        with pytest.MonkeyPatch.context() as patch:
            for place, (owner, function) in enumerate(patches.values()):
                patch.setattr(owner, function, slowed(getattr(owner, function), clock, MOST_CALLS**place))
            framework: Any = build(name, device)
            steps = training(train(framework, clock, steps=2))
        for step in steps:
            assert step.wall_ns == sum(step.durations.values()) < MOST_CALLS ** len(patches)
        calls = [{what: calls_in(step.durations, place) for place, what in enumerate(patches)} for step in steps]
        return Delayed(framework.clocks, calls, len(list(framework.model.parameters())))

    return train_once


def slowed(function: Callable[..., Any], clock: ScriptedClock, delay_ns: int) -> Callable[..., Any]:
    def slow(*args: Any, **kwargs: Any) -> Any:
        clock.advance(delay_ns)
        return function(*args, **kwargs)

    return slow


def calls_in(durations: Mapping[Phase, int], place: int) -> dict[Phase, int]:
    """The digits at one place of durations that are sums of delays: calls by phase, without zeros."""
    calls = {phase: ns // MOST_CALLS**place % MOST_CALLS for phase, ns in durations.items()}
    return {phase: count for phase, count in calls.items() if count}


@pytest.mark.parametrize(
    ("what", "phase", "calls"),
    [
        ("np.stack", Phase.COLLATE, 2),
        ("lucid.tensor", Phase.TO_DEVICE, 2),
        ("Adam.step", Phase.STEP, 1),
        ("Tensor.backward", Phase.BACKWARD, 1),
        ("Tensor.eval", Phase.MATERIALIZE, 1),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_delay_in_lucid_is_charged_to_its_phase_and_nowhere_else(
    what: str, phase: Phase, calls: int, device: str, delayed: Callable[[str, str], Delayed]
) -> None:
    check_delay(delayed("lucid", device), what, phase, calls)


@pytest.mark.parametrize(
    ("what", "phase", "calls"),
    [
        ("torch.stack", Phase.COLLATE, 2),
        ("Tensor.to", Phase.TO_DEVICE, 2),
        ("Adam.step", Phase.STEP, 1),
        ("Tensor.backward", Phase.BACKWARD, 1),
    ],
)
def test_a_delay_in_torch_is_charged_to_its_phase_and_nowhere_else(
    what: str, phase: Phase, calls: int, delayed: Callable[[str, str], Delayed]
) -> None:
    check_delay(delayed("torch", "cpu"), what, phase, calls)


def check_delay(done: Delayed, what: str, phase: Phase, calls: int) -> None:
    assert re.search(rf"\b{what.rpartition('.')[2]}\b", done.clocks[phase])
    assert [step[what] for step in done.steps] == [{phase: calls}] * 2


def test_torchs_item_is_charged_where_it_is_called(delayed: Callable[[str, str], Delayed]) -> None:
    done = delayed("torch", "cpu")
    # The loop reads the loss twice and the right answers once; Adam reads each parameter's step counter.
    assert done.steps[1]["Tensor.item"] == {Phase.METRICS: 3, Phase.STEP: done.parameters}


def test_the_articles_loop_does_not_call_lucids_item(delayed: Callable[[str, str], Delayed]) -> None:
    assert [step["Tensor.item"] for step in delayed("lucid", "cpu").steps] == [{}, {}]


def test_the_recorder_does_not_change_what_torch_learns(trained: Trained) -> None:
    measured = [step.loss for step in trained("torch", "cpu").sink.kept if step.epoch < 2]

    import torch
    from torch.utils.data import DataLoader, TensorDataset

    plain: Any = build("torch", "cpu")
    losses = []
    x, y = (torch.from_numpy(array) for array in images(BATCH * STEPS + 1))
    loader = DataLoader(TensorDataset(x, y), BATCH, shuffle=True)
    for _ in range(2):
        plain.model.train()
        for inputs, targets in loader:
            plain.zero_grad()
            loss = torch.nn.functional.cross_entropy(plain.model(inputs), targets)
            loss.backward()
            plain.step()
            losses.append(loss.item())
        plain.model.eval()
        with torch.no_grad():
            # A loader draws a seed whenever it is iterated, the test set's too.
            for inputs, targets in DataLoader(TensorDataset(x[:BATCH], y[:BATCH]), BATCH):
                losses.append(torch.nn.functional.cross_entropy(plain.model(inputs), targets).item())
    assert measured == losses


def test_the_recorder_does_not_change_what_lucid_learns(trained: Trained) -> None:
    measured = [step.loss for step in trained("lucid", "cpu").sink.kept if step.epoch < 2]

    import lucid
    from lucid.nn import functional

    from epoch_gap.workloads.adapters.numpy_loader import NumpyDataset, numpy_collate

    def loss_of(inputs: Any, targets: Any) -> Any:
        logits = plain.model(lucid.tensor(inputs, dtype=lucid.Float32))
        return functional.cross_entropy(logits, lucid.tensor(targets, dtype=lucid.Int64))

    plain: Any = build("lucid", "cpu")
    losses = []
    x, y = images(BATCH * STEPS + 1)
    loader = lucid.data.DataLoader(NumpyDataset(x, y), BATCH, shuffle=True, collate_fn=numpy_collate)
    for _ in range(2):
        plain.model.train()
        for inputs, targets in loader:
            plain.zero_grad()
            loss = loss_of(inputs, targets)
            loss.eval()
            loss.backward()
            plain.step()
            losses.append(float(loss.data))
        plain.model.eval()
        with lucid.no_grad():
            losses.append(float(loss_of(x[:BATCH], y[:BATCH]).data))
    assert measured == losses


def test_lucid_on_mlx_is_charged_in_step_for_the_work_of_backward(clock: ScriptedClock) -> None:
    framework = build("lucid", "gpu")
    with operations_move(clock):
        kept = train(framework, clock, schedule=lambda step: TimingMode.FENCED if step else TimingMode.ASRUN)
    charged, done = (step.durations for step in training(kept)[:2])
    assert charged[Phase.STEP] > charged[Phase.BACKWARD]
    assert done[Phase.BACKWARD] > done[Phase.STEP]


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_after_a_wait_nothing_is_left_to_wait_for(device: str) -> None:
    """A leak would leave operations to be computed after a wait; a NumPy device has none to begin with."""
    framework = build("lucid", device)
    first: list[int] = []
    second: list[int] = []

    def waiting(ask: Callable[..., Any], *args: Any) -> Any:
        result = ask(*args)
        first.append(pending_operations(reachable_arrays(framework, args, result)))
        framework.wait()
        second.append(pending_operations(reachable_arrays(framework, args, result)))
        return result

    framework.train()
    for _ in range(2):
        inputs, targets = waiting(framework.to_device, images(BATCH))
        _, loss = waiting(framework.forward, inputs, targets)
        waiting(framework.backward, loss)
        waiting(framework.step)
    assert (sum(first) > 0) == (device == "gpu")
    assert sum(second) <= 0.02 * sum(first)


def test_materialize_does_nothing_on_a_numpy_device() -> None:
    framework = build("lucid", "cpu")
    _, loss = framework.forward(*framework.to_device(images(BATCH)))
    before = loss.data
    assert isinstance(before, np.ndarray | np.generic)
    framework.materialize(loss)
    assert loss.data is before


def test_a_compiled_step_learns_the_same_as_an_uncompiled_one_in_one_phase(trained: Trained) -> None:
    plain = training(trained("mlx", "cpu").sink)
    steps = training(train(registry.build("mlx", Options("cpu", SEED, compiled=True))))
    assert [step.loss for step in steps] == pytest.approx([step.loss for step in plain], rel=1e-3)
    gone = {Phase.ZERO_GRAD, Phase.FORWARD, Phase.MATERIALIZE, Phase.BACKWARD, Phase.STEP}
    assert all(Phase.COMPILED in step.durations and not gone & step.durations.keys() for step in steps)


def test_conditions_that_choose_code_are_recorded() -> None:
    limit = build("lucid", "cpu").describe()["conv_view_limit_mb"]
    assert isinstance(limit, int)
    assert limit >= 64
    torch_conditions = build("torch", "cpu").describe()
    assert "chosen by ATen" in torch_conditions["instruction_sets"]
    assert torch_conditions["flags"]["oneDNN"] in (True, False)
    assert torch_conditions["flags"]["deterministic algorithms"] is False
