"""Switches: each changes what it says and nothing else, and is gone when it is off."""

import io
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.prediction import Scale
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.records import Step
from epoch_gap.workloads import experiments, registry
from epoch_gap.workloads.adapters.fake import Fake
from epoch_gap.workloads.experiments import (
    apply_switches,
    check_switches,
    environment_of_switches,
    experiment_with_dose,
    find_experiments,
)
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.initial_weights import draw_weights
from epoch_gap.workloads.optimizer import LUCID_SCHEDULE, TORCH_SCHEDULE, StepLR
from tests.helpers.adapters import BATCH, SEED, build
from tests.helpers.clocks import TickingClock
from tests.helpers.recorded import RecordingSink
from tests.helpers.switched_training import Alternating, losses, train_switched, workload_of

MS = 1_000_000
COSTS = "collate=4,to_device=4,forward=4,backward=4,step=4,metrics=4,evaluate=4"
BIT_FOR_BIT = ["noop", "planted", "delay=0.001", "collate_by_indexing", "no_progress_bar"]


def fake(clock: TickingClock, costs: str = COSTS, lazy: bool = False) -> Fake:
    return Fake(7, BATCH, costs, lazy, clock)


def fake_training(*switches: str, lazy: bool = False, turns: Alternating | None = None) -> RecordingSink:
    clock = TickingClock()
    return train_switched(fake(clock, lazy=lazy), switches, clock=clock, turns=turns)


def of_stage(sink: RecordingSink, stage: str) -> list[Step]:
    return [step for step in sink.kept if step.stage == stage]


def mean_ms(sink: RecordingSink) -> dict[Phase, float]:
    """Milliseconds of a training step by phase."""
    steps = of_stage(sink, "train")
    return {phase: sum(s.durations.get(phase, 0) for s in steps) / len(steps) / MS for phase in steps[0].durations}


@pytest.mark.parametrize("name", sorted(find_experiments()))
def test_an_experiment_is_data_that_can_be_wrong(name: str) -> None:
    experiment = find_experiments()[name].EXPERIMENT
    assert experiment.name == name
    assert experiment.claim.endswith(".")
    assert experiment.guess in (None, 1, 2, 3, 4, 5, 6)
    assert set(experiment.frameworks) <= registry.FRAMEWORKS.keys()
    module = find_experiments()[name]
    assert hasattr(module, "apply") + hasattr(module, "environment") + bool(experiment.options) == 1
    is_limited = experiment.frameworks or experiment.devices
    assert not (hasattr(module, "environment") and is_limited), "processes of other sides inherit the variables"
    assert all(len(text) <= 80 for text in getattr(module, "CLOCKS", {}).values())


def test_every_guess_of_the_article_has_an_experiment() -> None:
    assert {module.EXPERIMENT.guess for module in find_experiments().values()} == {None, 1, 2, 3, 4, 5, 6}


def test_a_file_in_the_folder_is_found_without_another_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: TickingClock
) -> None:
    source = Path(str(experiments.__file__)).with_name("planted.py").read_text()
    (tmp_path / "waits_in_step.py").write_text(
        source.replace('"planted"', '"waits_in_step"').replace("FORWARD", "STEP")
    )
    monkeypatch.setattr(experiments, "__path__", [*experiments.__path__, str(tmp_path)])
    assert find_experiments()["waits_in_step"].EXPERIMENT.may_change == (Phase.STEP,)
    assert mean_ms(fake_training("waits_in_step=0.003"))[Phase.STEP] == pytest.approx(7, rel=0.01)


@pytest.mark.parametrize("phase", ["collate", "to_device", "forward", "backward", "step", "metrics", "logging"])
def test_a_planted_wait_is_in_its_phase_and_nowhere_else(phase: str) -> None:
    plain, delayed = mean_ms(fake_training()), mean_ms(fake_training(f"planted:{phase}=0.02"))
    change = {name: delayed[name] - plain[name] for name in plain}
    assert change.pop(Phase(phase)) == pytest.approx(20, rel=0.01)
    assert all(abs(ms) < 0.05 for ms in change.values())


def test_a_delay_is_in_training_steps_only() -> None:
    plain, delayed = (of_stage(fake_training(*switches), "evaluate") for switches in ((), ("delay=0.02",)))
    assert [step.wall_ns for step in delayed] == pytest.approx([step.wall_ns for step in plain], rel=0.02)


@pytest.mark.parametrize(
    "name", ["collate_by_indexing", "metrics_read_per_epoch", "torch_convolution", "lucid_convolution"]
)
def test_a_switch_of_the_scripted_fake_changes_the_phases_that_it_may_change(name: str) -> None:
    plain, switched = mean_ms(fake_training()), mean_ms(fake_training(name))
    changed = {phase for phase in plain if abs(switched[phase] - plain[phase]) > 0.05}
    assert changed
    assert changed <= set(find_experiments()[name].EXPERIMENT.may_change)


def test_the_work_of_a_dropped_or_moved_loss_eval_is_done_elsewhere() -> None:
    plain = mean_ms(fake_training(lazy=True))
    dropped, moved = (
        mean_ms(fake_training(name, lazy=True)) for name in ("no_loss_eval", "loss_eval_after_backward")
    )
    assert plain[Phase.MATERIALIZE] == pytest.approx(4, rel=0.02)
    assert (dropped[Phase.MATERIALIZE], moved[Phase.MATERIALIZE]) == pytest.approx((0, 0), abs=0.05)
    assert dropped[Phase.STEP] == pytest.approx(plain[Phase.STEP] + 4, rel=0.02)
    assert moved[Phase.BACKWARD] == pytest.approx(8, rel=0.02)
    assert sum(dropped.values()) == pytest.approx(sum(plain.values()), rel=0.02)


def test_a_switch_that_is_turned_off_and_on_between_steps_acts_on_the_steps_in_between() -> None:
    sink = fake_training("planted:step=0.02", turns=Alternating(off=[0, 2], on=[1]))
    steps = [step.durations[Phase.STEP] for step in of_stage(sink, "train")]
    assert np.round(np.array(steps) / MS).tolist() == [24, 4, 24, 4]


def test_no_progress_bar_draws_nothing_and_comes_back() -> None:
    clock, drawn = TickingClock(), io.StringIO()
    train_switched(fake(clock), ["no_progress_bar"], clock=clock, output=drawn)
    assert drawn.getvalue() == ""
    train_switched(fake(clock), ["no_progress_bar"], clock=clock, output=drawn, turns=Alternating(off=[0]))
    assert "fake" in drawn.getvalue(), "the bar that was missed is started"


def test_metrics_that_are_read_once_are_those_of_the_epoch() -> None:
    plain, switched = fake_training(), fake_training("metrics_read_per_epoch")
    half = fake_training("metrics_read_per_epoch", turns=Alternating(off=[1], on=[2]))
    for sink in (switched, half):
        assert (sink.ended[0].train_loss, sink.ended[0].train_acc) == (
            plain.ended[0].train_loss,
            plain.ended[0].train_acc,
        )
        assert sink.ended[0].test_loss == plain.ended[0].test_loss
    assert all(math.isnan(step.loss) and step.correct is None for step in of_stage(switched, "train"))
    assert [math.isnan(step.loss) for step in of_stage(half, "train")] == [True, True, False, True]
    assert [step.loss for step in of_stage(switched, "evaluate")] == [
        step.loss for step in of_stage(plain, "evaluate")
    ]


SMALL_SIDES = [("fake", "cpu"), ("torch", "cpu"), ("lucid", "cpu"), ("mlx", "cpu")]
small_side = pytest.mark.parametrize(("name", "device"), SMALL_SIDES, ids=map("-".join, SMALL_SIDES))


@pytest.fixture(scope="module")
def plain() -> Callable[[str, str], RecordingSink]:
    """A side without switches, trained once."""
    return cache(lambda name, device: train_switched(build(name, device), batches=2))


@small_side
def test_switches_that_keep_the_losses_keep_them_bit_for_bit(
    name: str, device: str, plain: Callable[[str, str], RecordingSink]
) -> None:
    framework = build(name, device)
    own = {"lucid": ["loss_by_item", "no_loss_eval"], "mlx": ["loss_eval_after_backward"]}.get(name, [])
    switched = train_switched(framework, [*BIT_FOR_BIT, *own], batches=2)
    assert losses(switched) == losses(plain(name, device))
    assert not {"forward", "materialize", "metrics", "evaluating"} & vars(framework).keys(), "all are off again"


@pytest.mark.parametrize(("name", "device"), [("torch", "cpu"), ("lucid", "cpu"), ("mlx", "cpu")])
def test_the_epochs_numbers_are_the_same_if_they_are_read_once(
    name: str, device: str, plain: Callable[[str, str], RecordingSink]
) -> None:
    epochs = [
        plain(name, device).ended[0],
        train_switched(build(name, device), ["metrics_read_per_epoch"], batches=2).ended[0],
    ]
    first, second = ((epoch.train_loss, epoch.train_acc, epoch.test_loss) for epoch in epochs)
    assert first == second


@pytest.mark.parametrize("is_shared", [False, True], ids=["own order", "shared order"])
@pytest.mark.parametrize("name", ["torch", "lucid", "mlx"])
def test_batches_by_indexing_are_those_of_the_loader(name: str, is_shared: bool) -> None:
    framework = build(name, "cpu")
    passes = []
    for switches in ((), ("collate_by_indexing",)):
        build(name, "cpu")  # seeds all generators
        workload = workload_of(framework, is_shared=is_shared)
        batches = iter(workload.loader)
        undo = apply_switches(switches, workload)
        collected = [next(batches) for _ in range(2)]
        undo()
        passes.append([*collected, *(next(batches) for _ in range(2))])
    for (images, labels), (other_images, other_labels) in zip(*passes, strict=True):
        assert type(images) is type(other_images)
        assert (images.dtype, labels.dtype) == (other_images.dtype, other_labels.dtype)
        assert bool((images == other_images).all())
        assert bool((labels == other_labels).all())


def test_lucid_on_mlx_learns_the_same_with_its_waits_moved() -> None:
    first, second = (
        losses(train_switched(build("lucid", "gpu"), switches, batches=2))
        for switches in ((), ("one_mx_eval", "no_loss_eval"))
    )
    assert second == pytest.approx(first, rel=1e-5)


@pytest.mark.parametrize(("name", "device"), [("torch", "cpu"), ("lucid", "cpu"), ("mlx", "cpu")])
def test_initial_weights_are_shared_and_put_back(name: str, device: str) -> None:
    framework = build(name, device)
    before, drawn = framework.read_weights(), draw_weights(framework.architecture, SEED)
    undo = apply_switches(["shared_initial_weights"], workload_of(framework))
    shared = framework.read_weights()
    undo()
    after = framework.read_weights()
    assert all((shared[layer] == drawn[layer]).all() for layer in drawn)
    assert all((after[layer] == before[layer]).all() for layer in before)


@pytest.mark.parametrize(("name", "other"), [("torch", "lucid"), ("lucid", "torch")])
def test_initial_weights_are_those_that_the_other_side_draws(name: str, other: str) -> None:
    framework, drawn = build(name, "cpu"), build(other, "cpu").read_weights()
    before = framework.read_weights()
    undo = apply_switches(["other_initial_weights"], workload_of(framework))
    taken = framework.read_weights()
    undo()
    after = framework.read_weights()
    assert all((taken[layer] == drawn[layer]).all() for layer in drawn)
    assert all((after[layer] == before[layer]).all() for layer in before)
    described = experiments.describe_switches(["other_initial_weights"], framework)
    assert described == {"initialisation": build(other, "cpu").describe()["initialisation"]}


@pytest.mark.parametrize(("name", "other"), [("torch", LUCID_SCHEDULE), ("lucid", TORCH_SCHEDULE)])
def test_the_schedule_is_that_of_the_other_side(name: str, other: StepLR) -> None:
    framework, own = build(name, "cpu"), build(name, "cpu").schedule
    assert experiments.describe_switches(["other_schedule"], framework) == {"schedule": str(other)}
    framework.use_schedule(other)
    rates = []
    for _ in range(11):
        rates.append(framework.lr)
        framework.end_epoch()
    assert rates == pytest.approx([other.lr(epoch) for epoch in range(11)])
    assert own != other


@pytest.mark.parametrize(
    ("switches", "side", "error"),
    [
        (["nonsense"], ("fake", "cpu"), "no such experiment; choose one of: .*noop"),
        (["noop=1"], ("fake", "cpu"), "noop takes no dose"),
        (["noop:step"], ("fake", "cpu"), "noop takes no phase"),
        (["planted=soon"], ("fake", "cpu"), "is not NAME, NAME=DOSE or NAME:PHASE=DOSE"),
        (["planted=-1"], ("fake", "cpu"), "between 0 and 60"),
        (["threads=1.5"], ("fake", "cpu"), "a whole number from 1 to 1024"),
        (["threads=0"], ("fake", "cpu"), "a whole number from 1 to 1024"),
        (["threads", "threads=2"], ("fake", "cpu"), "threads is named twice"),
        (["planted:fetch=1"], ("fake", "cpu"), "fake cannot be delayed in fetch; choose one of: collate"),
        (["planted", "planted=1"], ("fake", "cpu"), "planted is named twice"),
        (["kept_memory"], ("fake", "cpu"), "is the option --allocator keep; use that"),
        (["checkpoint_per_epoch"], ("fake", "cpu"), "is the option --checkpoint; use that"),
        (["no_loss_eval"], ("fake", "cpu"), "has no phase materialize"),
        (["no_loss_eval"], ("torch", "cpu"), "not for torch; for: lucid, mlx, fake"),
        (["torch_convolution"], ("lucid", "gpu"), "not for the device gpu; for: cpu"),
        (["one_mx_eval"], ("lucid", "cpu"), "not for the device cpu; for: gpu"),
        (["lucid_convolution"], ("mlx", "cpu"), "not for mlx; for: torch, fake"),
    ],
)
def test_a_switch_that_cannot_be_turned_on_is_refused(switches: list[str], side: tuple[str, str], error: str) -> None:
    with pytest.raises(UserError, match=error):
        check_switches(switches, _sides(*side))


@cache
def _sides(name: str, device: str) -> Framework:
    return build(name, device)


def test_a_switch_that_needs_a_variable_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    assert environment_of_switches(["noop", "haswell_kernels"]) == {"OPENBLAS_CORETYPE": "Haswell"}
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Zen")
    with pytest.raises(UserError, match="needs OPENBLAS_CORETYPE=Haswell, but it is Zen; unset it"):
        environment_of_switches(["haswell_kernels"])


@pytest.mark.parametrize(
    ("name", "pool", "error"),
    [
        ("haswell_kernels", {"internal_api": "mkl", "architecture": None}, "no OpenBLAS"),
        ("haswell_kernels", {"internal_api": "openblas", "architecture": "Zen"}, "no effect .* OpenBLAS uses Zen"),
        ("threads", {"prefix": "libgomp", "num_threads": 2}, "no effect .* libgomp has 2 threads"),
        ("threads=2", {"prefix": "libgomp", "num_threads": 4}, "no effect .* libgomp has 4 threads"),
    ],
)
def test_a_variable_that_has_no_effect_is_refused(
    name: str, pool: dict[str, object], error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find_experiments()[name.partition("=")[0]], "threadpool_info", lambda: [pool])
    with pytest.raises(UserError, match=error):
        check_switches([name], _sides("fake", "cpu"))


def test_the_dose_of_threads_is_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    assert set(environment_of_switches(["threads"]).values()) == {"1"}
    assert set(environment_of_switches(["threads=2"]).values()) == {"2"}
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"} < environment_of_switches(["threads=2"]).keys()
    pools = [{"prefix": "libgomp", "num_threads": 2}, {"prefix": "libopenblas", "num_threads": 2}]
    monkeypatch.setattr(find_experiments()["threads"], "threadpool_info", lambda: pools)
    check_switches(["threads=2"], _sides("fake", "cpu"))


def test_the_prediction_of_threads_follows_their_number() -> None:
    one, two = experiment_with_dose("threads=1"), experiment_with_dose("threads=2")
    assert one is find_experiments()["threads"].EXPERIMENT
    assert (one.name, one.prediction, two.name, two.prediction) == ("threads", Scale(1), "threads=2", Scale(2))
    assert "on 2 threads" in two.claim
    with pytest.raises(UserError, match="planted=1: planted chooses its dose by itself"):
        experiment_with_dose("planted=1")


def test_a_switch_that_fails_leaves_none_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(workload: object, dose: float) -> None:
        raise UserError("no")

    framework = fake(TickingClock())
    monkeypatch.setattr(find_experiments()["noop"], "apply", fail)
    with pytest.raises(UserError):
        train_switched(framework, ["planted", "no_progress_bar", "noop"])
    assert "forward" not in vars(framework)
