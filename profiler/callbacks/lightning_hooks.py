"""The hooks of a Lightning trainer as marks, for `lightning.pytorch` and `pytorch_lightning`; imports neither."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from epoch_gap.profiler.callbacks.hooked_recording import HookedRecording
from epoch_gap.profiler.phases import Phase

CLOCKS = {
    Phase.FETCH: "from on_train_batch_end until on_train_batch_start: the callbacks after this one, the progress bar "
    "and loggers, the loader, the copy to the device",
    Phase.FORWARD: "from on_train_batch_start until on_before_zero_grad (without it, on_before_backward): "
    "training_step(); with manual optimization, all of it that is in no other phase",
    Phase.ZERO_GRAD: "from on_before_zero_grad until on_before_backward: optimizer_zero_grad()",
    Phase.BACKWARD: "from on_before_backward until on_after_backward",
    Phase.STEP: "from on_after_backward until optimizer.step() ends, with gradient clipping",
    Phase.METRICS: "reading the loss",
    Phase.CHECKPOINT: "from on_save_checkpoint until the next hook: the file is written; within an epoch, also the "
    "next batch is fetched",
}
EVALUATION_CLOCKS = {
    Phase.EVALUATE: "from on_validation_start until on_validation_end; the start of the loader's workers is before it"
}


class LightningHooks:
    """Records `Trainer.fit()` in `runs_dir`, as `recording()` does; a step is a batch, accumulated or not.

    Sizes, device and version are read from the trainer. `arguments` are those of `recording()`; they replace what is
    read, or are conditions. Without `losses`, no loss is read: on a GPU, reading one waits for the step.

    Raises UserError when the training starts, as `recording()` does, and for a batch size that is neither read nor
    given.
    """

    package_version: str

    def __init__(
        self, runs_dir: str | Path, name: str = "Lightning", *, losses: bool = True, **arguments: Any
    ) -> None:
        self._recording = HookedRecording(runs_dir, name, arguments)
        self._reads_losses = losses
        self._handles: list[Any] = []
        self._in_batch = self._is_zeroing = self._is_stepping = self._is_saving = False

    def count_images(self, batch: Any) -> int:
        """The samples of a batch: the length of its first tensor. Override it for batches of another kind."""
        while not hasattr(batch, "shape"):
            parts = list(batch.values()) if isinstance(batch, Mapping) else batch
            if not isinstance(parts, list | tuple) or not parts:
                return self._recording.batch_size
            batch = parts[0]
        return int(batch.shape[0]) if len(batch.shape) else 1

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin the recording; the sanity check of the validation is over."""
        self._in_batch = self._is_zeroing = self._is_stepping = self._is_saving = False
        clocks = {**CLOCKS, **(EVALUATION_CLOCKS if trainer.enable_validation else {})}
        self._recording.open(self.package_version, clocks, _read(trainer, pl_module))
        self._handles = [
            optimizer.register_step_post_hook(self._on_after_optimizer_step)
            for optimizer in trainer.optimizers
            if hasattr(optimizer, "register_step_post_hook")
        ]

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Start an epoch. The one before ends here, with the checkpoint that follows `on_train_epoch_end`."""
        self._end_epoch()
        self._recording.start_epoch(trainer.current_epoch)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """End of `fetch`."""
        if not self._recording.has_epoch:  # resumed within an epoch
            self._recording.start_epoch(trainer.current_epoch)
        self._end_saving()
        self._in_batch, self._is_zeroing, self._is_stepping = True, False, False
        self._mark(Phase.FETCH)

    def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """End of `forward`."""
        self._mark_forward()
        self._is_zeroing = True

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
        """End of `zero_grad`, or of `forward` in a batch that only adds to the gradients."""
        if self._is_zeroing:
            self._mark(Phase.ZERO_GRAD)
            self._is_zeroing = False
        else:
            self._mark_forward()

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        """End of `backward`."""
        self._mark(Phase.BACKWARD)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """The step has begun; its end has no hook in Lightning but one in PyTorch."""
        self._is_stepping = True
        if self._recording.told is not None:
            self._recording.told.lr = optimizer.param_groups[0]["lr"]

    def _on_after_optimizer_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self._mark(Phase.STEP)
        self._is_stepping = False

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """End of the step."""
        if not self._in_batch:  # a batch of None
            return
        self._mark(Phase.STEP if self._is_stepping else Phase.OTHER)
        self._in_batch = False
        loss = (outputs.get("loss") if isinstance(outputs, Mapping) else outputs) if self._reads_losses else None
        if loss is not None and pl_module.automatic_optimization and trainer.accumulate_grad_batches > 1:
            loss = loss * trainer.accumulate_grad_batches  # Lightning has divided it
        self._recording.recorder.close_step(self.count_images(batch), loss)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin an evaluation, unless it is the sanity check."""
        if self._recording.has_epoch:
            self._end_saving()
            self._recording.start_evaluation()

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """End of a batch of the evaluation."""
        if self._recording.is_evaluating:
            self._recording.recorder.mark(Phase.EVALUATE)
            self._recording.recorder.close_step(self.count_images(batch))

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """End the evaluation, with the metrics that are computed after its last batch."""
        if self._recording.is_evaluating:
            self._recording.end_stretch(Phase.EVALUATE)
            self._recording.end_evaluation()

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Begin of `checkpoint`, unless a step or an evaluation saves it."""
        if self._recording.has_epoch and not (self._in_batch or self._recording.is_evaluating):
            self._recording.end_stretch(Phase.CHECKPOINT if self._is_saving else Phase.OTHER)
            self._is_saving = True

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """End the recording."""
        self._close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """End the recording as interrupted or failed."""
        self._close(exception)

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """End the recording of a training that has left without `on_train_end`."""
        self._close()

    def _mark(self, phase: Phase) -> None:
        if self._in_batch:
            self._recording.recorder.mark(phase)

    def _mark_forward(self) -> None:
        """An optimizer that runs the closure again (LBFGS) has worked, too, in a time that has no hook."""
        self._mark(Phase.OTHER if self._is_stepping else Phase.FORWARD)

    def _end_saving(self) -> None:
        if self._is_saving:
            self._recording.end_stretch(Phase.CHECKPOINT)
        self._is_saving = False

    def _end_epoch(self) -> None:
        if self._in_batch:  # on_train_batch_start of the module has ended the epoch
            self._recording.recorder.skip_step()
            self._in_batch = False
        self._end_saving()
        self._recording.close_epoch()

    def _close(self, error: BaseException | None = None) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if error is None and self._recording.has_epoch:
            self._end_epoch()
        self._recording.close(error)


def _read(trainer: Any, pl_module: Any) -> dict[str, Any]:
    """What `recording()` needs, as far as a trainer tells it without doubt; per process."""
    batch_size, train_images = _read_loader(trainer.train_dataloader, trainer.num_training_batches)
    loaders = trainer.val_dataloaders
    loaders = loaders if isinstance(loaders, list | tuple) else [loaders]
    test_images = [_read_loader(*each)[1] for each in zip(loaders, trainer.num_val_batches, strict=False)]
    return {
        "batch_size": batch_size,
        "train_images": train_images,
        "test_images": None if None in test_images else sum(filter(None, test_images)),
        "device": str(pl_module.device),
        "precision": str(trainer.precision),
        "accumulated_batches": trainer.accumulate_grad_batches,
    }


def _read_loader(loader: Any, batches: float) -> tuple[int | None, int | None]:
    """The batch size of a PyTorch loader and the samples of its first `batches`, None if it does not tell."""
    size = getattr(loader, "batch_size", None)
    try:
        return size, None if size is None else min(len(loader.sampler), round(batches) * size)
    except (TypeError, AttributeError, OverflowError):  # an iterable without a length
        return size, None
