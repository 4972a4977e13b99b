"""One contract for every adapter, the fake included; and where a delay from outside shows up."""

import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.analysis.stopping import Sample
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import EPOCH_PHASES, Phase
from epoch_gap.profiler.recording.fencing import POLICIES, Ledger
from epoch_gap.profiler.recording.recorder import Recorder, Step
from epoch_gap.workloads import loop, registry, resnet18
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.progress import Progress
from tests.helpers.adapters import BATCH, SCRIPT, SEED, SIDES, STEPS, build, images
from tests.helpers.clocks import ScriptedClock
from tests.helpers.recorded import Kept

side = pytest.mark.parametrize(("name", "device"), SIDES, ids=map("-".join, SIDES))


def train(framework: Framework, clock: Any = None, **options: Any) -> Kept:
    sink = Kept(ScriptedClock())
    schedule = options.get("schedule", POLICIES["none"])
    clock = clock or ScriptedClock()
    recorder = Recorder(
        framework.phases, sink, clock, schedule=schedule, wait=framework.wait, charged_to=framework.charged_to
    )
    x, y = images(BATCH * STEPS + 1)
    around = loop.timed_collate(recorder)
    with Path("/dev/null").open("w") as nowhere:
        loop.train(
            framework,
            framework.loader(x, y, BATCH, True, around),
            framework.loader(x[:BATCH], y[:BATCH], BATCH, False, lambda collate: collate),
            recorder,
            Progress(framework.name, STEPS, STEPS, nowhere),
            epochs=options.get("epochs", 1),
            enough=Sample(BATCH, BATCH * STEPS + 1, options.get("steps")),
            checkpoint_folder=options.get("checkpoint_folder"),
        )
    return sink


def training(sink: Kept) -> list[Step]:
    return [step for step in sink.kept if step.stage == "train"]


@side
def test_an_adapter_trains_every_image_once_and_marks_every_phase_it_has(
    name: str, device: str, tmp_path: Path
) -> None:
    framework = build(name, device)
    assert framework.parameter_count() == resnet18.parameter_count()
    before = framework.lr

    sink = train(framework, checkpoint_folder=tmp_path)

    steps = training(sink)
    assert [step.images for step in steps] == [BATCH] * STEPS + [1]
    assert all(np.isfinite(step.loss) and 0 <= step.correct <= step.images for step in steps)
    per_epoch = framework.phases & set(EPOCH_PHASES)
    per_step = framework.phases - per_epoch
    assert all(step.durations.keys() == per_step for step in steps)
    assert sink.ended[0].lr == before == resnet18.ADAM.lr
    assert per_epoch <= sink.ended[0].durations.keys()
    assert (Phase.FLUSH in per_epoch) == (framework.describe()["execution"] == "lazy")
    assert [path.name for path in tmp_path.iterdir()] == [framework.checkpoint_name]
    assert framework.describe()["execution"] in ("eager", "lazy")


@side
def test_an_adapter_says_what_each_of_its_clocks_times(name: str, device: str) -> None:
    check_clocks(build(name, device))


@pytest.mark.parametrize(
    "framework",
    [partial(registry.build, "fake", "cpu", SEED, **{**SCRIPT, "lazy": True}),
     partial(registry.build, "mlx", "cpu", SEED, compiled=True)],
    ids=["lazy fake", "compiled mlx"],
)  # fmt: skip
def test_a_variant_says_what_each_of_its_own_clocks_times(framework: Callable[[], Framework]) -> None:
    check_clocks(framework())


def check_clocks(framework: Framework) -> None:
    """One text for each phase; `other` is what no call of the framework's takes, so there is nothing to say of it."""
    assert framework.clocks.keys() == framework.phases - {Phase.OTHER}
    assert all(text.strip() and len(text) <= 80 for text in framework.clocks.values())


def test_a_lazy_device_says_of_other_calls_than_an_eager_one() -> None:
    eager, lazy = build("lucid", "cpu").clocks, build("lucid", "gpu").clocks
    assert {phase for phase in eager if eager[phase] != lazy[phase]} == {
        Phase.TO_DEVICE, Phase.FORWARD, Phase.MATERIALIZE, Phase.BACKWARD, Phase.STEP, Phase.METRICS,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["torch", "lucid"])
def test_a_network_learns_a_handful_of_images(name: str) -> None:
    epochs = train(build(name, "cpu"), epochs=4).ended
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


def lucid_patches() -> dict[str, tuple[Any, str, Phase, int]]:
    import lucid
    import lucid.optim

    return {
        "np.stack": (np, "stack", Phase.COLLATE, 2),
        "lucid.tensor": (lucid, "tensor", Phase.TO_DEVICE, 2),
        "Adam.step": (lucid.optim.Adam, "step", Phase.STEP, 1),
        "Tensor.backward": (lucid.Tensor, "backward", Phase.BACKWARD, 1),
        "Tensor.eval": (lucid.Tensor, "eval", Phase.MATERIALIZE, 1),
    }


def torch_patches() -> dict[str, tuple[Any, str, Phase, int]]:
    import torch

    return {
        "torch.stack": (torch, "stack", Phase.COLLATE, 2),
        "Tensor.to": (torch.Tensor, "to", Phase.TO_DEVICE, 2),
        "Adam.step": (torch.optim.Adam, "step", Phase.STEP, 1),
        "Tensor.backward": (torch.Tensor, "backward", Phase.BACKWARD, 1),
    }


DELAY_NS = 1_000_000_000


def delayed(function: Callable[..., Any], clock: ScriptedClock) -> Callable[..., Any]:
    def slow(*args: Any, **kwargs: Any) -> Any:
        clock.advance(DELAY_NS)
        return function(*args, **kwargs)

    return slow


@pytest.mark.parametrize("what", ["np.stack", "lucid.tensor", "Adam.step", "Tensor.backward", "Tensor.eval"])
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_delay_in_lucid_is_charged_to_its_phase_and_nowhere_else(
    what: str, device: str, clock: ScriptedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _check_delay("lucid", device, *lucid_patches()[what], clock, monkeypatch)


@pytest.mark.parametrize("what", ["torch.stack", "Tensor.to", "Adam.step", "Tensor.backward"])
def test_a_delay_in_torch_is_charged_to_its_phase_and_nowhere_else(
    what: str, clock: ScriptedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _check_delay("torch", "cpu", *torch_patches()[what], clock, monkeypatch)


def test_torchs_item_is_charged_where_it_is_called(clock: ScriptedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.Tensor, "item", delayed(torch.Tensor.item, clock))
    framework: Any = build("torch", "cpu")
    second = training(train(framework, clock, steps=2))[1]
    charged = {phase: ns / DELAY_NS for phase, ns in second.durations.items() if ns}
    # The loop reads the loss twice and the right answers once; Adam reads each parameter's step counter.
    parameters = len(list(framework.model.parameters()))
    assert charged == {Phase.METRICS: 3, Phase.STEP: parameters}


def _check_delay(
    framework: str,
    device: str,
    owner: Any,
    name: str,
    phase: Phase,
    calls: int,
    clock: ScriptedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner, name, delayed(getattr(owner, name), clock))
    built = build(framework, device)
    assert re.search(rf"\b{name}\b", built.clocks[phase])
    steps = training(train(built, clock, steps=2))
    assert len(steps) == 2
    for step in steps:
        charged = {phase: ns for phase, ns in step.durations.items() if ns}
        assert charged == {phase: calls * DELAY_NS}


def test_the_recorder_does_not_change_what_torch_learns() -> None:
    measured = [step.loss for step in train(build("torch", "cpu"), epochs=2).kept]

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


def test_the_recorder_does_not_change_what_lucid_learns() -> None:
    measured = [step.loss for step in train(build("lucid", "cpu"), epochs=2).kept]

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


def test_lucids_item_is_not_what_the_article_reads_a_loss_by(
    clock: ScriptedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lucid

    monkeypatch.setattr(lucid.Tensor, "item", delayed(lucid.Tensor.item, clock))
    for step in training(train(build("lucid", "cpu"), clock, steps=2)):
        assert step.wall_ns == 0


def test_lucid_on_mlx_is_charged_in_step_for_the_work_of_backward() -> None:
    framework = build("lucid", "gpu")
    kept = train(framework, time.perf_counter_ns, schedule=lambda step: Ledger.FENCED if step else Ledger.ASRUN)
    charged, done = (step.durations for step in training(kept)[:2])
    assert charged[Phase.STEP] > charged[Phase.BACKWARD]
    assert done[Phase.BACKWARD] > done[Phase.STEP]


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_after_a_wait_nothing_is_left_to_wait_for(device: str) -> None:
    """A leak would make each second wait as long as the work that the first left; the shorter of two is no hiccup."""
    framework = build("lucid", device)
    first: list[int] = []
    second: list[int] = []

    def waiting_twice(ask: Callable[..., Any], *args: Any) -> Any:
        start = time.perf_counter_ns()
        result = ask(*args)
        framework.wait()
        waited = time.perf_counter_ns()
        framework.wait()
        first.append(waited - start)
        second.append(time.perf_counter_ns() - waited)
        return result

    framework.train()
    for _ in range(2):
        inputs, targets = waiting_twice(framework.to_device, images(BATCH))
        _, loss = waiting_twice(framework.forward, inputs, targets)
        waiting_twice(framework.backward, loss)
        waiting_twice(framework.step)
    assert sum(map(min, second[:4], second[4:])) < 0.02 * sum(first) / 2


@pytest.mark.parametrize(("name", "device"), [("torch", "gpu2"), ("lucid", "mps"), ("fake", "cuda")])
def test_a_device_that_is_not_there_is_one_line(name: str, device: str) -> None:
    with pytest.raises(UserError, match=f"has no device '{device}'.*choose auto"):
        build(name, device)


def test_a_network_of_another_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from epoch_gap.workloads.adapters.fake import Fake

    monkeypatch.setattr(Fake, "parameter_count", lambda self: 5)
    with pytest.raises(UserError, match="5 parameters where ResNet-18 has 11173962"):
        build("fake", "cpu")


def test_an_unknown_framework_is_one_line() -> None:
    with pytest.raises(UserError, match="no framework 'jax'; choose one of"):
        build("jax", "cpu")


def test_a_compiled_step_learns_what_an_uncompiled_one_does_and_is_one_phase() -> None:
    plain = training(train(registry.build("mlx", "cpu", SEED)))
    steps = training(train(registry.build("mlx", "cpu", SEED, compiled=True)))
    assert [step.loss for step in steps] == pytest.approx([step.loss for step in plain], rel=1e-3)
    gone = {Phase.ZERO_GRAD, Phase.FORWARD, Phase.MATERIALIZE, Phase.BACKWARD, Phase.STEP}
    assert all(Phase.COMPILED in step.durations and not gone & step.durations.keys() for step in steps)
    with pytest.raises(UserError, match="--compile is for mlx"):
        registry.build("fake", "cpu", SEED, **SCRIPT, compiled=True)
