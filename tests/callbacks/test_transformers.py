"""The callback for `transformers`, with real trainers: every phase of a scripted training, and how trainings end."""

import copy
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from torch.utils.data import IterableDataset

from epoch_gap.profiler import instrument
from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.callbacks.transformers import RecordingCallback
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.profiler.storage.run import Run
from tests.helpers.cases import recorded_seconds
from tests.helpers.clocks import ScriptedClock
from tests.helpers.paths import ROOT
from tests.helpers.torch_work import EVALUATED, ITEM, MS, SlowItems, SlowLinear, SlowSGD

pytestmark = pytest.mark.filterwarnings("ignore")
SAVE, METRICS = 40 * MS, 7 * MS


class Model(SlowLinear):
    """A model of `transformers` as its trainer sees one: it returns its loss."""

    fails_at: tuple[int, BaseException] | None = None
    calls = 0

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        if self.training and self.fails_at and self.fails_at[0] == self.calls:
            raise self.fails_at[1]
        self.calls += self.training
        return {"loss": self.loss(x, labels), "logits": x}


class SlowTrainer(transformers.Trainer):
    """Saving a checkpoint takes its time."""

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        self.model.clock.advance(SAVE)
        super()._save_checkpoint(*args, **kwargs)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ScriptedClock:
    """The clock of all recordings."""
    scripted = ScriptedClock()
    monkeypatch.setattr(instrument, "Recorder", partial(Recorder, clock=scripted))
    return scripted


def items(clock: ScriptedClock, count: int = 22) -> SlowItems:
    return SlowItems(count, clock, ("x", "labels"))


def trainer(folder: Path, clock: ScriptedClock, *callbacks: Any, **settings: Any) -> SlowTrainer:
    quiet = {"report_to": "none", "disable_tqdm": True, "save_strategy": "no", "use_cpu": True, "logging_steps": 1}
    sizes = {"num_train_epochs": 1, "per_device_train_batch_size": 4, "per_device_eval_batch_size": 4}
    data = {
        "train_dataset": settings.pop("train_dataset", items(clock)),
        "eval_dataset": settings.pop("eval_dataset", None),
    }
    model = settings.pop("model", None) or Model(clock)

    def compute_metrics(prediction: Any) -> dict[str, float]:
        clock.advance(METRICS)
        return {"accuracy": 0.5}

    return SlowTrainer(
        model=model,
        args=transformers.TrainingArguments(str(folder / "out"), **{**quiet, **sizes, **settings}),
        optimizers=(SlowSGD(model.parameters(), clock), None),
        callbacks=list(callbacks),
        compute_metrics=compute_metrics,
        **data,
    )


def train(
    folder: Path, clock: ScriptedClock, arguments: Any = None, resume: Any = None, **settings: Any
) -> tuple[Run, Any]:
    callback = RecordingCallback(folder / "runs", data="lines", **(arguments or {}))
    before = set(find_runs(folder / "runs")) if (folder / "runs").exists() else set()
    own = trainer(folder, clock, callback, **settings)
    own.train(resume_from_checkpoint=resume)
    (path,) = set(find_runs(folder / "runs")) - before
    return read_run(path), own


@pytest.mark.usefixtures("blank_pictures")
def test_every_phase_takes_its_own_time(tmp_path: Path, clock: ScriptedClock) -> None:
    evaluation = {"eval_dataset": items(clock, 6), "eval_strategy": "epoch", "save_strategy": "epoch"}
    run, _ = train(tmp_path, clock, {"test_images": 6}, num_train_epochs=2, **evaluation)
    assert run.status == "complete"
    assert run.train.images.tolist() == [4, 4, 4, 4, 4, 2] * 2
    assert run.evaluate.images.tolist() == [4, 2] * 2
    full = run.manifest.full_epoch
    assert (run.batch_size, full.train_images, full.test_images) == (4, 22, 6)
    evaluated = 2 * (6 * ITEM + 2 * EVALUATED + METRICS) / 1e9
    seconds = {"fetch": 0.044, "forward": 0.12, "backward": 0.24, "step": 0.06}
    assert recorded_seconds(run) == pytest.approx({**seconds, "evaluate": evaluated, "checkpoint": 2 * SAVE / 1e9})
    assert [epoch.lr for epoch in run.epochs] == pytest.approx([0.1 * 7 / 12, 0.1 / 12])
    assert [epoch.test_acc for epoch in run.epochs] == [0.5, 0.5]
    assert run.framework.version == transformers.__version__
    assert analyse_run(run).asrun.own_epoch.measured
    for verb in (["show", run.id], ["report", "--out", str(tmp_path / "report")]):
        assert main([*verb, "--runs-dir", str(tmp_path / "runs")]) == 0


def test_the_training_is_the_same_without_the_callback(tmp_path: Path, clock: ScriptedClock) -> None:
    _, recorded = train(tmp_path, clock, num_train_epochs=2)
    plain = trainer(tmp_path, clock, num_train_epochs=2)
    plain.train()
    losses, expected = ([log.get("loss") for log in own.state.log_history] for own in (recorded, plain))
    assert losses == expected
    assert len(losses) == 13
    assert torch.equal(recorded.model.linear.weight, plain.model.linear.weight)
    assert not recorded.model._forward_hooks


def test_a_copy_of_the_model_is_not_recorded(tmp_path: Path, clock: ScriptedClock) -> None:
    """Averages of weights and references are copies that callbacks make during the training."""

    class Copy(transformers.TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, *, model: Any, **kwargs: Any) -> None:
            copied = copy.deepcopy(model)
            torch.save(model, tmp_path / "model.pt")
            copied(torch.zeros(1, 4), torch.zeros(1, dtype=torch.int64))

    trainer(tmp_path, clock, Copy(), RecordingCallback(tmp_path / "runs")).train()
    assert recorded_seconds(read_run(find_runs(tmp_path / "runs")[0]))["forward"] == pytest.approx(0.06)


def test_what_is_logged_within_a_step_belongs_to_it(tmp_path: Path, clock: ScriptedClock) -> None:
    class Log(transformers.TrainerCallback):
        def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
            own.log({"loss": 0.0})

    own = trainer(tmp_path, clock, RecordingCallback(tmp_path / "runs"), Log())
    own.train()
    run = read_run(find_runs(tmp_path / "runs")[0])
    assert recorded_seconds(run) == pytest.approx({"fetch": 0.022, "forward": 0.06, "backward": 0.12, "step": 0.03})


def test_accumulated_batches_are_steps_of_which_some_step_the_optimizer(tmp_path: Path, clock: ScriptedClock) -> None:
    """The trainer fetches the four batches of an optimizer step at once, and its loader one batch ahead."""
    run, _ = train(tmp_path, clock, gradient_accumulation_steps=4)
    assert run.train.images.tolist() == [4, 4, 4, 4, 4, 2]
    by_phase = {phase: (ns // MS).tolist() for phase, ns in run.train.phase_ns.items()}
    assert by_phase[Phase.FETCH] == [20, 0, 0, 0, 2, 0]
    assert by_phase[Phase.FORWARD] == [10] * 6
    assert by_phase[Phase.BACKWARD] == [20] * 6
    assert by_phase[Phase.STEP] == [0, 0, 0, 5, 0, 5]


@pytest.mark.parametrize("logging_steps", [1, 5], ids=["logged before", "not logged"])
def test_evaluations_within_an_epoch(tmp_path: Path, clock: ScriptedClock, logging_steps: int) -> None:
    settings = {"eval_strategy": "steps", "eval_steps": 2, "logging_steps": logging_steps}
    run, _ = train(tmp_path, clock, {"test_images": 6}, eval_dataset=items(clock, 6), eval_on_start=True, **settings)
    assert (len(run.train), len(run.evaluate), len(run.epochs)) == (6, 6, 1)
    assert recorded_seconds(run)["evaluate"] == pytest.approx(3 * (6 * ITEM + 2 * EVALUATED + METRICS) / 1e9)
    assert analyse_run(run).asrun.own_epoch.measured


def test_an_evaluation_that_nobody_has_announced_is_still_timed(tmp_path: Path, clock: ScriptedClock) -> None:
    """Of several data sets, only the first one's begin is known: the first batch of another is no step."""
    sets = {"a": items(clock, 6), "b": items(clock, 6)}
    run, _ = train(tmp_path, clock, eval_dataset=sets, eval_strategy="epoch")
    assert run.evaluate.images.tolist() == [4, 2, 2]
    assert recorded_seconds(run)["evaluate"] == pytest.approx(2 * (6 * ITEM + 2 * EVALUATED + METRICS) / 1e9)
    assert recorded_seconds(run)["fetch"] == pytest.approx(0.022)


def test_a_training_that_ends_early_is_a_sample(tmp_path: Path, clock: ScriptedClock) -> None:
    run, _ = train(tmp_path, clock, max_steps=4)
    assert (run.status, len(run.train), len(run.epochs)) == ("complete", 4, 1)
    assert not analyse_run(run).asrun.own_epoch.measured


def test_an_accumulation_that_is_broken_off_is_no_step(tmp_path: Path, clock: ScriptedClock) -> None:
    class Stop(transformers.TrainerCallback):
        def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = True

    callback = RecordingCallback(tmp_path / "runs")
    trainer(tmp_path, clock, callback, Stop(), gradient_accumulation_steps=4).train()
    run = read_run(find_runs(tmp_path / "runs")[0])
    assert (run.status, len(run.train)) == ("complete", 1)


@pytest.mark.parametrize("steps", [6, 2], ids=["epoch", "batch"])
def test_a_resumed_training_goes_on_with_its_epochs(tmp_path: Path, clock: ScriptedClock, steps: int) -> None:
    trainer(tmp_path, clock, save_strategy="steps", save_steps=steps).train()
    run, _ = train(tmp_path, clock, resume=str(tmp_path / "out" / f"checkpoint-{steps}"), num_train_epochs=3)
    assert [int((run.train.epoch == number).sum()) for number in range(3)] == [6 - steps, 6, 6]
    assert [epoch.epoch for epoch in run.epochs] == ([1, 2] if steps == 6 else [0, 1, 2])
    assert run.train.images[-6:].tolist() == [4, 4, 4, 4, 4, 2]


def test_the_next_training_ends_the_run_of_one_that_has_failed(tmp_path: Path, clock: ScriptedClock) -> None:
    """`transformers` tells no callback of an exception."""
    model = Model(clock)
    error = ZeroDivisionError("mine")
    model.fails_at = 3, error
    with pytest.raises(ZeroDivisionError) as caught:
        train(tmp_path, clock, model=model)
    assert caught.value is error
    assert train(tmp_path, clock)[0].status == "complete"
    failed, complete = sorted((read_run(path) for path in find_runs(tmp_path / "runs")), key=lambda run: run.status)[
        ::-1
    ]
    assert (failed.status, len(failed.train), complete.status) == ("failed", 3, "complete")


AT_EXIT = """
import sys, transformers, torch
from epoch_gap.profiler.callbacks.transformers import RecordingCallback
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.calls = torch.nn.Linear(4, 2), 0
    def forward(self, x, labels):
        self.calls += 1
        if self.calls == 4:
            raise {error}
        return {{"loss": self.linear(x).sum()}}
data = [{{"x": torch.zeros(4), "labels": torch.tensor(0)}}] * 24
args = transformers.TrainingArguments(sys.argv[1] + "/out", report_to="none", disable_tqdm=True, use_cpu=True)
transformers.Trainer(Model(), args, train_dataset=data, callbacks=[RecordingCallback(sys.argv[1] + "/runs")],
    ).train()
"""


@pytest.mark.parametrize(
    ("error", "status"), [("KeyboardInterrupt", "interrupted"), ("ZeroDivisionError('mine')", "failed")]
)
def test_a_training_that_ends_the_process_keeps_its_steps(tmp_path: Path, error: str, status: str) -> None:
    code = AT_EXIT.format(error=error).replace("report_to", "per_device_train_batch_size=4, report_to")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode != 0
    assert done.stderr.rstrip().splitlines()[-1].startswith(error.partition("(")[0]), done.stderr
    run = read_run(find_runs(tmp_path / "runs")[0])
    assert (run.status, len(run.train)) == (status, 3)
    assert run.events == ((("error", "ZeroDivisionError: mine"),) if status == "failed" else ())


def test_a_size_that_the_loader_does_not_tell_must_be_given(tmp_path: Path, clock: ScriptedClock) -> None:
    class Endless(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter([{"x": torch.zeros(4), "labels": torch.tensor(0)}] * 8)

    stream, _ = train(tmp_path / "stream", clock, train_dataset=Endless(), max_steps=4)
    assert stream.manifest.full_epoch.is_stream
    run, _ = train(tmp_path, clock, {"train_images": 8}, train_dataset=Endless(), max_steps=4)
    assert [int((run.train.epoch == number).sum()) for number in (0, 1)] == [2, 2]


def test_with_a_wait_some_steps_are_fenced(tmp_path: Path, clock: ScriptedClock) -> None:
    run, _ = train(tmp_path, clock, {"wait": lambda: None})
    assert run.train.fenced.tolist() == [False] * 4 + [True] * 2


def test_a_model_that_is_compiled_is_not_hooked(tmp_path: Path, clock: ScriptedClock) -> None:
    """A hook would change what is compiled; forward and backward are then one stretch."""
    own = RecordingCallback(tmp_path / "runs")
    settings = {"torch_compile": True, "n_gpu": 0, "world_size": 1, "device": "cpu", "eval_strategy": "no"}
    arguments = SimpleNamespace(**settings, gradient_accumulation_steps=1)  # real ones would set variables
    state, control = transformers.TrainerState(train_batch_size=4, epoch=0), transformers.TrainerControl()
    hooks = partial(own.on_train_begin, arguments, state, control)
    hooks(model=Model(clock), train_dataloader=torch.utils.data.DataLoader(items(clock, 4), 4))
    own.on_epoch_begin(arguments, state, control)
    own.on_step_begin(arguments, state, control)
    clock.advance(MS)
    own.on_pre_optimizer_step(arguments, state, control, optimizer=SlowSGD(Model(clock).parameters(), clock))
    own.on_optimizer_step(arguments, state, control)
    state.epoch = 1
    own.on_step_end(arguments, state, control)
    own.on_train_end(arguments, state, control)
    run = read_run(find_runs(tmp_path / "runs")[0])
    assert recorded_seconds(run) == {"forward_backward": MS / 1e9}
    assert Phase.FORWARD not in run.train.phase_ns
