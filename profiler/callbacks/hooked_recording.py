"""A recording that a trainer's hooks open and close, in place of `with` blocks around the loop and its parts."""

import atexit
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.instrument import Clocks, recording
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import OpenEpoch, Recorder

_unfinished: dict[int, "HookedRecording"] = {}
"""The recording that is open in each thread: a training that an exception has left may never tell its callback."""


class HookedRecording:
    """One recording, its epochs and evaluations, opened and closed by calls.

    `arguments` are those of `recording()`; they replace what is read from a trainer.
    """

    def __init__(self, runs_dir: str | Path, name: str, arguments: Mapping[str, Any]) -> None:
        self._runs_dir, self._name, self._arguments = runs_dir, name, arguments
        self._run, self._epoch, self._evaluation = ExitStack(), ExitStack(), ExitStack()
        self._thread: int | None = None
        self.told: OpenEpoch | None = None
        self.is_evaluating = False

    def open(self, version: str, clocks: Clocks, read: Mapping[str, Any]) -> None:
        """Start recording, with what was `read` from the trainer: arguments of `recording()`, None if unknown.

        A loader without a length is a stream. Raises UserError as `recording()` does, and for a batch size that is
        neither read nor given.
        """
        if left_open := _unfinished.pop(threading.get_ident(), None):
            left_open.close_unfinished()
        arguments = {key: value for key, value in {**read, **self._arguments}.items() if value is not None}
        arguments.setdefault("train_images", None)
        if "batch_size" not in arguments:
            raise UserError("RecordingCallback(): batch_size cannot be read from the trainer; pass batch_size=")
        self._exception_before = _last_exception()
        self.recorder: Recorder = self._run.enter_context(
            recording(self._runs_dir, self._name, version, clocks, **arguments)
        )
        self.batch_size = int(arguments["batch_size"])
        self._thread = threading.get_ident()
        _unfinished[self._thread] = self
        atexit.register(self.close_unfinished)

    @property
    def has_epoch(self) -> bool:
        """Whether an epoch is open."""
        return self.told is not None

    def start_epoch(self, number: int) -> None:
        """Close the epoch before, if one is open, and start this one."""
        self.close_epoch()
        self.told = self._epoch.enter_context(self.recorder.epoch(number))

    def close_epoch(self) -> None:
        """Close the epoch, if one is open; the time since its last mark is `other`."""
        self.end_evaluation()
        self._epoch.close()
        self.told = None

    def start_evaluation(self) -> None:
        """Make the following steps batches of an evaluation."""
        self._evaluation.enter_context(self.recorder.evaluation())
        self.is_evaluating = True

    def end_evaluation(self) -> None:
        """End the evaluation, if one is open."""
        self._evaluation.close()
        self.is_evaluating = False

    def end_stretch(self, phase: Phase) -> None:
        """Charge the time since the last mark to the epoch and to no batch."""
        self.recorder.mark(phase)
        self.recorder.close_outside()

    def close(self, error: BaseException | None = None) -> None:
        """End the recording, if it is open: complete, or as `error` has ended the training. `error` is not raised."""
        atexit.unregister(self.close_unfinished)
        if self._thread is not None and _unfinished.get(self._thread) is self:
            del _unfinished[self._thread]
        if error is None:
            self.close_epoch()
        for context in (self._evaluation, self._epoch, self._run):
            context.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
        self.told, self.is_evaluating = None, False

    def close_unfinished(self) -> None:
        """End the recording of a training that an exception has left: at exit, or before the thread's next one."""
        error = _last_exception()
        if error is None or error is self._exception_before:
            error = RuntimeError("the training did not reach its end")
        self.close(error)


def _last_exception() -> BaseException | None:
    """The last exception that nobody has caught, as the interpreter or a notebook has shown it."""
    return getattr(sys, "last_exc", None)
