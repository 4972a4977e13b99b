"""Stacks sampled by py-spy, by phase: counts, speedscope JSON, hottest functions, flame graph.

The frame of the training loop gives the phase of a sample: the clock charges each line of the loop to the phase of
the next mark (`workloads/loop_lines.py` finds it in the source of the loop).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from epoch_gap.profiler.drilldown.conditions import (
    DrilldownConditions,
    conditions_from_json,
    conditions_to_json,
)
from epoch_gap.profiler.errors import UserError

TEXT, SPEEDSCOPE, SVG, HOT, COUNTS = "stacks.txt", "flame.speedscope.json", "flame.svg", "hot.txt", "counts.json"
_FRAME = re.compile(r"^(?P<function>.*) \((?P<file>[^()]*?)(?::(?P<line>\d+))?\)$")


@dataclass(frozen=True)
class Frame:
    """One function in a stack; `line` is 0 if unknown."""

    function: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})" if self.file else self.function


PhaseOf = Callable[[Frame], str | None]
"""gives the phase of a frame of the training loop, and None for any other frame"""


@dataclass(frozen=True)
class Stacks:
    """Samples by stack, outermost frame first: the phase, then the frames that the training loop called."""

    samples: Mapping[tuple[Frame, ...], int]
    outside: int
    """samples outside the training steps: imports, data, evaluation, reports"""
    rate: int
    """samples per second"""
    steps: int = 1
    """training steps that were sampled"""
    conditions: DrilldownConditions | None = None
    """of the sampled run; None if unknown"""

    def seconds_by_path(self, deepest: int) -> dict[tuple[tuple[str, str], ...], float]:
        """Seconds per step by path of (function, file), the phase first, `deepest` calls below it at most.

        Lines are ignored.
        """
        seconds: dict[tuple[tuple[str, str], ...], float] = {}
        for stack, count in self.samples.items():
            path = tuple((frame.function, frame.file) for frame in stack)
            for depth in range(1, min(len(path), deepest + 1) + 1):
                seconds[path[:depth]] = seconds.get(path[:depth], 0.0) + count / self.rate / self.steps
        return seconds

    def without_lines(self) -> "Stacks":
        """The same samples with the lines of each function merged."""
        samples: dict[tuple[Frame, ...], int] = {}
        for stack, count in self.samples.items():
            functions = tuple(replace(frame, line=0) for frame in stack)
            samples[functions] = samples.get(functions, 0) + count
        return replace(self, samples=samples)

    def by_phase(self) -> dict[str, int]:
        """Samples by phase."""
        by_phase: dict[str, int] = {}
        for stack, count in self.samples.items():
            phase = stack[0].function
            by_phase[phase] = by_phase.get(phase, 0) + count
        return by_phase


def parse_raw(text: str, phase_of: PhaseOf, rate: int, steps: int = 1) -> Stacks:
    """Parse py-spy's raw format: one stack per line, frames joined by `;`, then the count. Raises UserError."""
    samples: dict[tuple[Frame, ...], int] = {}
    outside = 0
    for frames, count in _lines(text):
        in_loop = [(i, phase) for i, frame in enumerate(frames) if (phase := phase_of(frame)) is not None]
        if not in_loop:
            outside += count
            continue
        depth, phase = in_loop[-1]  # the innermost: collation is called within fetch
        stack = (Frame(phase, "", 0), *frames[depth + 1 :])
        samples[stack] = samples.get(stack, 0) + count
    return Stacks(samples, outside, rate, steps)


def _lines(text: str) -> Iterator[tuple[list[Frame], int]]:
    for line in filter(None, text.splitlines()):
        joined, _, count = line.rpartition(" ")
        if not count.isdigit():
            raise UserError(f"not a line in py-spy's raw format: {line[:80]!r}")
        yield [_frame(part) for part in joined.split(";")], int(count)


def stacks_to_text(stacks: Stacks) -> str:
    """The samples in py-spy's raw format, which `stacks_from_text` reads; each stack starts with its phase.

    Phases are stored instead of lines of the loop, because the loop may have changed when they are read.
    """
    return "\n".join(f"{';'.join(map(str, stack))} {count}" for stack, count in stacks.samples.items())


def stacks_from_text(text: str, numbers: Mapping[str, Any]) -> Stacks:
    """The stacks in the output of `stacks_to_text` and `counts_to_json`. Raises UserError."""
    samples = {tuple(frames): count for frames, count in _lines(text)}
    stored = numbers.get("conditions")
    conditions = conditions_from_json(stored) if stored else None
    try:
        return Stacks(samples, numbers["outside"], numbers["rate"], numbers["steps"], conditions)
    except KeyError as error:
        raise UserError(f"stacks of an older version, which lack {error}; sample again") from None


def counts_to_json(stacks: Stacks) -> dict[str, Any]:
    """The fields of the stacks that `stacks_to_text` leaves out."""
    return {
        "outside": stacks.outside,
        "rate": stacks.rate,
        "steps": stacks.steps,
        "conditions": conditions_to_json(stacks.conditions) if stacks.conditions else {},
    }


def _frame(text: str) -> Frame:
    match = _FRAME.match(text.strip())
    if match is None:
        return Frame(text.strip(), "", 0)
    return Frame(match["function"], match["file"], int(match["line"] or 0))


def hottest_functions(stacks: Stacks, within: Sequence[str], most: int) -> list[tuple[str, str, int]]:
    """(file, function, samples) of the `most` functions with the most samples.

    Only functions in files whose path contains a part of `within` count, or all if it is empty.
    A sample counts for its innermost such function.
    """
    samples_of: dict[tuple[str, str], int] = {}
    for stack, count in stacks.samples.items():
        innermost = next((frame for frame in reversed(stack) if _is_within(frame.file, within)), None)
        if innermost is not None:
            key = (innermost.file, innermost.function)
            samples_of[key] = samples_of.get(key, 0) + count
    ranked = sorted(samples_of.items(), key=lambda item: -item[1])
    return [(file, function, count) for (file, function), count in ranked[:most]]


def _is_within(file: str, parts: Sequence[str]) -> bool:
    return bool(file) and (not parts or any(part in file for part in parts))


@dataclass(frozen=True)
class Box:
    """A rectangle of a flame graph, in row `depth`, from `start` to `start + samples`."""

    frame: Frame
    depth: int
    start: int
    samples: int
    path: tuple[tuple[str, str], ...]
    """(function, file) of each frame from the phase to this one"""


def boxes(stacks: Stacks, order: Sequence[str], deepest: int) -> list[Box]:
    """The rectangles of the flame graph: phases in `order`, callees above their callers, widths in samples.

    Calls deeper than `deepest` below the phase have none: a recursive program's stacks may have thousands.
    """
    ranks = {phase: i for i, phase in enumerate(order)}
    ranked = sorted(
        stacks.samples.items(), key=lambda item: (ranks.get(item[0][0].function, len(ranks)), list(map(str, item[0])))
    )
    return list(_boxes(ranked, (), 0, deepest))


def _boxes(
    stacks: Sequence[tuple[tuple[Frame, ...], int]], under: tuple[tuple[str, str], ...], start: int, deepest: int
) -> Iterable[Box]:
    depth = len(under)
    groups: dict[Frame, list[tuple[tuple[Frame, ...], int]]] = {}
    for stack, count in stacks:
        if len(stack) > depth:
            groups.setdefault(stack[depth], []).append((stack, count))
    for frame, members in groups.items():
        samples = sum(count for _, count in members)
        path = (*under, (frame.function, frame.file))
        yield Box(frame, depth, start, samples, path)
        if depth < deepest:
            yield from _boxes(members, path, start, deepest)
        start += samples
