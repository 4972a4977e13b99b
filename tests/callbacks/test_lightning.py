"""The callback for Lightning, with real trainers: every phase of a scripted training, and how trainings end."""

import signal
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import pytorch_lightning
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch.utils.data import DataLoader, IterableDataset

from epoch_gap.profiler import instrument
from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.callbacks import pytorch_lightning as callback_of_pytorch_lightning
from epoch_gap.profiler.callbacks.lightning import RecordingCallback
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.profiler.storage.run import Run
from tests.helpers.cases import recorded_seconds
from tests.helpers.clocks import ScriptedClock
from tests.helpers.torch_work import EVALUATED, ITEM, MS, SlowItems, SlowLinear, SlowSGD

pytestmark = pytest.mark.filterwarnings("ignore")
"""Lightning's advice: more workers, a longer run, another accelerator"""
SAVE = 40 * MS


class SlowCheckpoint(TorchCheckpointIO):
    def __init__(self, clock: ScriptedClock) -> None:
        super().__init__()
        self.clock = clock

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        self.clock.advance(SAVE)
        super().save_checkpoint(*args, **kwargs)


def module_of(lightning: Any, clock: ScriptedClock) -> Any:
    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = SlowLinear(clock)
            self.losses: list[float] = []
            self.fails_at: tuple[int, BaseException] | None = None

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            if self.fails_at and self.fails_at[0] == batch_idx:
                raise self.fails_at[1]
            loss = self.network.loss(*batch)
            self.losses.append(loss.item())
            return loss

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.network.loss(*batch)

        def on_validation_epoch_end(self) -> None:
            clock.advance(7 * MS)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return SlowSGD(self.parameters(), clock)

    return Module()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ScriptedClock:
    """The clock of all recordings."""
    scripted = ScriptedClock()
    monkeypatch.setattr(instrument, "Recorder", partial(Recorder, clock=scripted))
    return scripted


def trainer(folder: Path, *callbacks: Any, lightning: Any = pl, **settings: Any) -> Any:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    ending = {"max_epochs": 1, "enable_checkpointing": False}
    return lightning.Trainer(default_root_dir=folder, callbacks=list(callbacks), **{**quiet, **ending, **settings})


def loader(clock: ScriptedClock, count: int = 22, batch: int = 4) -> DataLoader[Any]:
    return DataLoader(SlowItems(count, clock), batch)


def fit(folder: Path, clock: ScriptedClock, module: Any = None, test: Any = None, **settings: Any) -> tuple[Run, Any]:
    callback = RecordingCallback(folder / "runs", data="lines")
    module = module or module_of(pl, clock)
    before = set(find_runs(folder / "runs")) if (folder / "runs").exists() else set()
    trainer(folder, callback, **settings).fit(module, loader(clock), test)
    (path,) = set(find_runs(folder / "runs")) - before
    return read_run(path), module


@pytest.mark.usefixtures("blank_pictures")
def test_every_phase_takes_its_own_time(tmp_path: Path, clock: ScriptedClock) -> None:
    run, module = fit(tmp_path, clock, test=loader(clock, 6), max_epochs=2)
    assert run.status == "complete"
    assert run.train.images.tolist() == [4, 4, 4, 4, 4, 2] * 2
    assert run.evaluate.images.tolist() == [4, 2] * 2
    full = run.manifest.full_epoch
    assert (run.batch_size, full.train_images, full.test_images) == (4, 22, 6)
    evaluated = 2 * (6 * ITEM + 2 * EVALUATED + 7 * MS) / 1e9
    seconds = {"fetch": 0.044, "zero_grad": 0.024, "forward": 0.12, "backward": 0.24, "step": 0.06}
    assert recorded_seconds(run) == pytest.approx({**seconds, "evaluate": evaluated})
    assert run.train.loss.tolist() == module.losses
    assert [epoch.lr for epoch in run.epochs] == [0.1, 0.1]
    assert run.framework.device == "cpu"
    assert run.framework.version == pl.__version__
    assert analyse_run(run).asrun.own_epoch.measured
    for verb in (["show", run.id], ["report", "--out", str(tmp_path / "out")]):
        assert main([*verb, "--runs-dir", str(tmp_path / "runs")]) == 0


def test_the_training_is_the_same_without_the_callback(tmp_path: Path, clock: ScriptedClock) -> None:
    run, module = fit(tmp_path, clock, max_epochs=2)
    plain = module_of(pl, clock)
    trainer(tmp_path, max_epochs=2).fit(plain, loader(clock))
    assert run.train.loss.tolist() == plain.losses == module.losses
    assert torch.equal(module.network.linear.weight, plain.network.linear.weight)


def test_accumulated_batches_are_steps_of_which_some_step_the_optimizer(tmp_path: Path, clock: ScriptedClock) -> None:
    run, module = fit(tmp_path, clock, accumulate_grad_batches=2)
    steps = run.train.phase_ns[Phase.STEP].tolist()
    assert [ns > 0 for ns in steps] == [False, True] * 3
    assert recorded_seconds(run)["zero_grad"] == pytest.approx(0.006)
    assert run.train.loss.tolist() == module.losses


def test_validations_within_an_epoch_are_evaluations(tmp_path: Path, clock: ScriptedClock) -> None:
    run, _ = fit(tmp_path, clock, test=loader(clock, 6), val_check_interval=2)
    assert (len(run.train), len(run.evaluate), len(run.epochs)) == (6, 6, 1)
    assert recorded_seconds(run)["evaluate"] == pytest.approx(3 * (6 * ITEM + 2 * EVALUATED + 7 * MS) / 1e9)
    assert analyse_run(run).asrun.own_epoch.measured


@pytest.mark.parametrize("settings", [{}, {"every_n_train_steps": 2}], ids=["by epoch", "by step"])
def test_a_checkpoint_is_no_other_phase(tmp_path: Path, clock: ScriptedClock, settings: dict[str, int]) -> None:
    """Within an epoch, no hook is between the file and the next batch, which is fetched in the same stretch."""
    saving = pl.callbacks.ModelCheckpoint(dirpath=tmp_path / "saved", save_top_k=-1, **settings)
    callback = RecordingCallback(tmp_path / "runs")
    settings_of_trainer = {"enable_checkpointing": True, "max_epochs": 2, "plugins": [SlowCheckpoint(clock)]}
    trainer(tmp_path, callback, saving, **settings_of_trainer).fit(module_of(pl, clock), loader(clock))
    run = read_run(find_runs(tmp_path / "runs")[0])
    seconds = recorded_seconds(run)
    saved, fetched = (2, 0) if not settings else (6, 2 * 2 * 4 * ITEM)
    assert seconds["checkpoint"] == pytest.approx((saved * SAVE + fetched) / 1e9)
    assert seconds["fetch"] == pytest.approx((44 * ITEM - fetched) / 1e9)
    assert seconds["step"] == pytest.approx(0.06)


@pytest.mark.parametrize(
    ("error", "raised", "status"),
    [(ZeroDivisionError("mine"), ZeroDivisionError, "failed"), (KeyboardInterrupt(), SystemExit, "interrupted")],
    ids=["error", "interrupt"],
)
@pytest.mark.usefixtures("restored_signals")
def test_a_training_that_fails_keeps_its_steps(
    tmp_path: Path, clock: ScriptedClock, error: BaseException, raised: type[BaseException], status: str
) -> None:
    """Lightning itself turns Ctrl-C into an exit."""
    module = module_of(pl, clock)
    module.fails_at = 3, error
    with pytest.raises(raised) as caught:
        fit(tmp_path, clock, module)
    assert caught.value is error or caught.value.__context__ is error
    run = read_run(find_runs(tmp_path / "runs")[0])
    assert (run.status, len(run.train)) == (status, 3)
    assert fit(tmp_path, clock)[0].status == "complete"


@pytest.fixture
def restored_signals() -> Any:
    """Lightning ignores Ctrl-C from the first one on."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


def test_a_failing_validation_ends_the_run_as_failed(tmp_path: Path, clock: ScriptedClock) -> None:
    module = module_of(pl, clock)
    module.on_validation_epoch_end = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        fit(tmp_path, clock, module, loader(clock, 6), num_sanity_val_steps=0)
    run = read_run(find_runs(tmp_path / "runs")[0])
    assert (run.status, len(run.train), len(run.evaluate)) == ("failed", 6, 2)


def test_a_training_that_ends_early_is_a_sample(tmp_path: Path, clock: ScriptedClock) -> None:
    run, _ = fit(tmp_path, clock, max_steps=4)
    assert (run.status, len(run.train), len(run.epochs)) == ("complete", 4, 1)
    assert not analyse_run(run).asrun.own_epoch.measured
    limited, _ = fit(tmp_path, clock, limit_train_batches=2)
    assert limited.manifest.full_epoch.train_images == 8
    assert analyse_run(limited).asrun.own_epoch.measured


def test_a_batch_that_the_module_ends_the_epoch_at_is_no_step(tmp_path: Path, clock: ScriptedClock) -> None:
    module = module_of(pl, clock)
    module.on_train_batch_start = lambda batch, batch_idx: -1 if batch_idx == 2 else None
    run, _ = fit(tmp_path, clock, module, max_epochs=2)
    assert [int((run.train.epoch == number).sum()) for number in (0, 1)] == [2, 2]
    assert recorded_seconds(run)["skipped"] == pytest.approx(2 * 4 * ITEM / 1e9)


@pytest.mark.parametrize("saved_at", ["epoch", "batch"])
def test_a_resumed_training_goes_on_with_its_epochs(tmp_path: Path, clock: ScriptedClock, saved_at: str) -> None:
    steps = 6 if saved_at == "epoch" else 2
    saving = pl.callbacks.ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, every_n_train_steps=steps)
    trainer(tmp_path, saving, enable_checkpointing=True).fit(module_of(pl, clock), loader(clock))
    callback = RecordingCallback(tmp_path / "runs")
    resumed = trainer(tmp_path, callback, max_epochs=3)
    resumed.fit(module_of(pl, clock), loader(clock), ckpt_path=tmp_path / f"step={steps}.ckpt")
    run = read_run(find_runs(tmp_path / "runs")[0])
    assert [int((run.train.epoch == number).sum()) for number in range(3)] == [6 - steps, 6, 6]
    assert [epoch.epoch for epoch in run.epochs] == ([1, 2] if saved_at == "epoch" else [0, 1, 2])
    assert run.status == "complete"


def test_manual_optimization_of_two_optimizers(tmp_path: Path, clock: ScriptedClock) -> None:
    class Manual(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.a, self.b = SlowLinear(clock), SlowLinear(clock)

        def training_step(self, batch: Any, batch_idx: int) -> None:
            for network, optimizer in zip((self.a, self.b), self.optimizers(), strict=True):
                self.manual_backward(network.loss(*batch))
                optimizer.step()

        def configure_optimizers(self) -> list[torch.optim.Optimizer]:
            return [SlowSGD(network.parameters(), clock) for network in (self.a, self.b)]

    run, _ = fit(tmp_path, clock, Manual())
    seconds = {"fetch": 0.022, "forward": 0.12, "backward": 0.24, "step": 0.06}
    assert recorded_seconds(run) == pytest.approx(seconds)
    assert all(loss != loss for loss in run.train.loss), "a module that returns no loss"


def test_an_optimizer_that_calls_its_closure_again(tmp_path: Path, clock: ScriptedClock) -> None:
    """No hook is between the optimizer's own work and a further forward pass."""
    module = module_of(pl, clock)
    module.configure_optimizers = lambda: torch.optim.LBFGS(module.parameters(), max_iter=2)
    run, _ = fit(tmp_path, clock, module)
    assert len(run.train) == 6
    assert run.train.phase_ns[Phase.FORWARD].tolist() == [10 * MS] * 6
    calls = len(module.losses)
    assert calls == 12
    assert recorded_seconds(run)["other"] == pytest.approx((calls - 6) * 0.010)
    assert recorded_seconds(run)["backward"] == pytest.approx(calls * 0.020)


def test_a_loader_without_a_length_is_a_stream_unless_a_length_is_given(tmp_path: Path, clock: ScriptedClock) -> None:
    class Endless(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter([(torch.zeros(4), torch.tensor(0))] * 8)

    sizes = {}
    for name, arguments in (("stream", {}), ("epoch", {"train_images": 8})):
        own = trainer(tmp_path, RecordingCallback(tmp_path / name, **arguments))
        own.fit(module_of(pl, clock), DataLoader(Endless(), 4))
        run = read_run(find_runs(tmp_path / name)[0])
        assert len(run.train) == 2
        sizes[name] = run.manifest.full_epoch
    assert (sizes["stream"].is_stream, sizes["epoch"].train_images) == (True, 8)


def test_the_callback_of_the_other_package_of_lightning(tmp_path: Path, clock: ScriptedClock) -> None:
    callback = callback_of_pytorch_lightning.RecordingCallback(tmp_path / "runs")
    own = trainer(tmp_path, callback, lightning=pytorch_lightning)
    own.fit(module_of(pytorch_lightning, clock), loader(clock), loader(clock, 6))
    run = read_run(find_runs(tmp_path / "runs")[0])
    assert (len(run.train), len(run.evaluate)) == (6, 2)


def test_with_a_wait_some_steps_are_fenced(tmp_path: Path, clock: ScriptedClock) -> None:
    callback = RecordingCallback(tmp_path / "runs", wait=lambda: None, losses=False)
    trainer(tmp_path, callback).fit(module_of(pl, clock), loader(clock))
    run = read_run(find_runs(tmp_path / "runs")[0])
    assert run.train.fenced.tolist() == [False] * 4 + [True] * 2
    assert "metrics" not in recorded_seconds(run)
