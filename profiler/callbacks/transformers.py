"""The callback for `transformers`: `Trainer(callbacks=[RecordingCallback("runs")])`."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import transformers

from epoch_gap.profiler.callbacks.hooked_recording import HookedRecording
from epoch_gap.profiler.phases import Phase

CLOCKS = {
    Phase.FETCH: "from on_step_end until on_step_begin: the callbacks after this one, the loader (for all batches of "
    "an optimizer step at once), the copy to the device",
    Phase.STEP: "from on_pre_optimizer_step until on_optimizer_step: optimizer.step()",
    Phase.LOGGING: "until on_log: the mean loss is read, which waits for the device",
    Phase.CHECKPOINT: "until on_save",
}
SPLIT_CLOCKS = {
    Phase.FORWARD: "from on_step_begin, or the batch before, until the model has returned: inputs, model(**inputs), "
    "and the loss if the model computes it",
    Phase.BACKWARD: "until on_substep_end or on_pre_optimizer_step: a loss outside the model, backward, the check of "
    "the loss, gradient clipping",
}
FORWARD_BACKWARD = Phase("forward_backward")
UNSPLIT_CLOCKS = {
    FORWARD_BACKWARD: "from on_step_begin, or the batch before, until on_substep_end or on_pre_optimizer_step",
}
"""No hook of `transformers` is between forward and backward; a forward hook of the PyTorch module is."""
EVALUATION_CLOCKS = {Phase.EVALUATE: "from on_step_end, on_epoch_end or on_log, whichever is last, until on_evaluate"}


class _ForwardHook:
    """Calls `notice` when the model returns. A copy of the model, pickled or deep, has a hook that does nothing."""

    def __init__(self, notice: Callable[[], None] = lambda: None) -> None:
        self._notice = notice

    def __call__(self, model: Any, inputs: Any, outputs: Any) -> None:
        self._notice()

    def __reduce__(self) -> tuple[type["_ForwardHook"], tuple[()]]:
        return _ForwardHook, ()


class RecordingCallback(transformers.TrainerCallback):
    """Records `Trainer.train()` in `runs_dir`, as `recording()` does; a step is a batch, accumulated or not.

    Sizes of the training, device and version are read from the trainer; the size of an evaluation is `test_images`.
    `arguments` are those of `recording()`; they replace what is read, or are conditions. No hook tells the loss of a
    batch. Forward and backward of a compiled or replicated model (`torch_compile`, several GPUs in one process)
    cannot be split: they are a phase of their own, `forward_backward`.

    Raises UserError when the training starts, as `recording()` does, and for a batch size that is neither read nor
    given.
    """

    def __init__(self, runs_dir: str | Path, name: str = "Transformers", **arguments: Any) -> None:
        self._recording = HookedRecording(runs_dir, name, arguments)
        self._hook: Any = None
        self._in_step = False
        self._epoch = -1
        self._evaluated = 0

    def on_train_begin(
        self, args: Any, state: Any, control: Any, *, model: Any = None, train_dataloader: Any = None, **kwargs: Any
    ) -> None:
        """Begin the recording."""
        self._remove_hook()  # of a training that an exception has left
        self._in_step, self._epoch = False, -1
        is_split = not args.torch_compile and args.n_gpu <= 1
        clocks = {**CLOCKS, **(SPLIT_CLOCKS if is_split else UNSPLIT_CLOCKS)}
        clocks |= EVALUATION_CLOCKS if args.eval_strategy != "no" else {}
        self._recording.open(transformers.__version__, clocks, _read(args, state, train_dataloader))
        samples = _count_samples(args, state.train_batch_size, train_dataloader)
        self._last_batch = int((samples - 1) % self._recording.batch_size) + 1 if math.isfinite(samples) else None
        self._after_forward = Phase.BACKWARD if is_split else FORWARD_BACKWARD
        if is_split:
            self._hook = model.register_forward_hook(_ForwardHook(self._on_after_forward))

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start an epoch. The one before ends here, with the evaluation and checkpoint that follow `on_epoch_end`."""
        self._epoch = max(self._epoch + 1, int(state.epoch or 0))
        self._recording.start_epoch(self._epoch)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End of `fetch`."""
        self._in_step = True
        self._recording.recorder.mark(Phase.FETCH)

    def _on_after_forward(self) -> None:
        if self._in_step:
            self._recording.recorder.mark(Phase.FORWARD)

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End of a batch that only adds to the gradients."""
        self._recording.recorder.mark(self._after_forward)
        self._recording.recorder.close_step(self._recording.batch_size)

    def on_pre_optimizer_step(
        self, args: Any, state: Any, control: Any, *, optimizer: Any = None, **kwargs: Any
    ) -> None:
        """End of `backward`."""
        self._recording.recorder.mark(self._after_forward)
        if self._recording.told is not None:
            self._recording.told.lr = optimizer.param_groups[0]["lr"]

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End of `step`."""
        self._recording.recorder.mark(Phase.STEP)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End of the batch, with the schedule and `zero_grad()`."""
        self._recording.recorder.mark(Phase.OTHER)
        self._in_step = False
        ends_epoch = float(state.epoch).is_integer()
        self._recording.recorder.close_step(
            self._last_batch if ends_epoch and self._last_batch else self._recording.batch_size
        )
        self._expect_evaluation(control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The last batch is over; a batch that the trainer has broken off is dropped."""
        if self._in_step:
            self._recording.recorder.skip_step()
        self._in_step = False
        self._expect_evaluation(control)

    def on_log(
        self, args: Any, state: Any, control: Any, *, logs: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """End of `logging`; the log of an evaluation belongs to it, and the last one is not the epoch's."""
        if "train_runtime" in (logs or {}):
            self._recording.close_epoch()
        elif self._is_between_steps and not self._recording.is_evaluating:
            self._recording.end_stretch(Phase.LOGGING)
            self._expect_evaluation(control)

    def on_prediction_step(
        self, args: Any, state: Any, control: Any, *, eval_dataloader: Any = None, **kwargs: Any
    ) -> None:
        """End of a batch of the evaluation."""
        if self._recording.is_evaluating:
            self._recording.recorder.mark(Phase.EVALUATE)
            left = _count_samples(args, args.eval_batch_size, eval_dataloader) - self._evaluated
            size = max(0, min(args.eval_batch_size, left))
            self._recording.recorder.close_step(size)
            self._evaluated += size
        elif self._is_between_steps:  # nothing has announced it: the batch has an unknown start
            self._recording.end_stretch(Phase.EVALUATE)
            self._start_evaluation()
            self._evaluated = args.eval_batch_size

    def on_evaluate(
        self, args: Any, state: Any, control: Any, *, metrics: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """End the evaluation, with the metrics that are computed after its last batch."""
        if self._recording.is_evaluating:
            self._recording.end_stretch(Phase.EVALUATE)
            self._recording.end_evaluation()
        if (told := self._recording.told) is not None:
            told.test_loss, told.test_acc = ((metrics or {}).get(f"eval_{name}") for name in ("loss", "accuracy"))

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End of `checkpoint`."""
        if self._is_between_steps:
            self._recording.end_stretch(Phase.CHECKPOINT)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the recording."""
        self._remove_hook()
        self._recording.close()

    @property
    def _is_between_steps(self) -> bool:
        """Whether an event is the epoch's: a model may log, and a callback save, within a step."""
        return self._recording.has_epoch and not self._in_step

    def _expect_evaluation(self, control: Any) -> None:
        """Begin the evaluation that is next; no hook is at its start."""
        if control.should_evaluate and not control.should_log:
            self._start_evaluation()

    def _start_evaluation(self) -> None:
        self._recording.start_evaluation()
        self._evaluated = 0

    def _remove_hook(self) -> None:
        if self._hook is not None:
            self._hook.remove()
        self._hook = None


def _read(args: Any, state: Any, loader: Any) -> dict[str, Any]:
    """What `recording()` needs, as far as a trainer tells it without doubt; per process."""
    train_images = _count_samples(args, state.train_batch_size, loader)
    return {
        "batch_size": state.train_batch_size,
        "train_images": None if math.isinf(train_images) else int(train_images),
        "device": str(args.device),
        "accumulated_batches": args.gradient_accumulation_steps,
    }


def _count_samples(args: Any, batch_size: int, loader: Any) -> float:
    """The samples that a loader has for this process, infinite if it has no length; ranks have full batches."""
    try:
        full = len(loader) * batch_size
        return min(len(loader.dataset), full) if args.world_size == 1 else full
    except (TypeError, AttributeError):
        return math.inf
