"""Taking turns: a training process computes only while its session lets it, so that a round's processes alternate.

The session and the process exchange lines of JSON over two pipes. The process reports after every turn and waits; a
turn ends between two steps, where the time belongs to no phase.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TextIO

from epoch_gap.profiler.analysis.sufficiency import Sufficiency
from epoch_gap.profiler.recording.records import Step


@dataclass(frozen=True)
class Report:
    """The state of a process at the end of a turn, or before its first step."""

    steps: int = 0
    """training steps so far"""
    seconds_per_step: float = 0.0
    """mean of the steps so far, without the first if there are others; 0 before the first step"""
    is_sufficient: bool = False
    """whether the steps so far suffice for an estimate"""
    least_steps: int = 0
    """the fewest steps that can suffice"""


@dataclass(frozen=True)
class Command:
    """What a process does in its next turn."""

    steps: int = 0
    """training steps to take"""
    batches: int = 0
    """test batches to evaluate on: before these steps, or at the end; 0: not now"""
    stop: str = ""
    """the reason why training ends now; empty: it goes on"""


def to_line(message: Report | Command) -> str:
    """A message as one line of JSON."""
    return json.dumps(asdict(message)) + "\n"


class Turns:
    """The process's side, as the training loop's `ShouldStop` and `EvaluationPlan`.

    `between_turns` is called at the end of a turn and again at the start of the next one. A session that has gone
    (end of file) interrupts the training, like Ctrl-C.
    """

    def __init__(
        self,
        commands: TextIO,
        reports: TextIO,
        sufficiency: Sufficiency,
        between_turns: Callable[[], None] = lambda: None,
    ) -> None:
        self._commands, self._reports, self._sufficiency = commands, reports, sufficiency
        self._between_turns = between_turns
        self._command = Command()
        self._is_due = False
        self._left = 0
        self.number = 1
        """of the current turn, from 1"""
        self.reason = "all images were used"
        """why training ended"""

    def wait_for_first_turn(self) -> None:
        """Report that the process is ready, and wait for its first turn."""
        self._obey(self._exchange())

    def __call__(self, step: Step) -> bool:
        """Whether training stops after `step`. Waits for the next turn if this one is over."""
        self._sufficiency.add(step)
        self._left -= 1
        if self._left > 0:
            return False
        self._between_turns()
        command = self._exchange()
        self.number += 1
        self._between_turns()
        return self._obey(command)

    def is_due(self) -> bool:
        """Whether the command asks for an evaluation within the training."""
        is_due, self._is_due = self._is_due, False
        return is_due

    def ends_after(self, batches: int) -> bool:
        """Whether the number of test batches of the command has been reached."""
        return batches >= self._command.batches > 0

    def _obey(self, command: Command) -> bool:
        self._command, self._left = command, command.steps
        if command.stop:
            self.reason = command.stop
            return True
        self._is_due = command.batches > 0
        return False

    def _exchange(self) -> Command:
        """Report, and wait for the next command."""
        steps = self._sufficiency
        report = Report(steps.steps, steps.seconds_per_step, steps.is_sufficient(), steps.least_steps)
        self._reports.write(to_line(report))
        self._reports.flush()
        line = self._commands.readline()
        if not line:
            raise KeyboardInterrupt
        return Command(**json.loads(line))
