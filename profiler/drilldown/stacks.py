"""Sampled stacks by phase: what py-spy saw, as shares, as speedscope JSON, and as the functions that took longest.

A sample's phase is that of the training loop's own frame: each line of the loop lies before one mark, and that mark's
phase is what the clock charges the line to (`workloads/loop_lines.py` reads this off the loop's source).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from epoch_gap.profiler.errors import UserError

TEXT, SPEEDSCOPE, SVG, HOT, COUNTS = "stacks.txt", "flame.speedscope.json", "flame.svg", "hot.txt", "counts.json"
SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_FRAME = re.compile(r"^(?P<function>.*) \((?P<file>[^()]*?)(?::(?P<line>\d+))?\)$")


@dataclass(frozen=True)
class Frame:
    """One function's place in a stack; `line` 0 where it is not known."""

    function: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})" if self.file else self.function


PhaseOf = Callable[[Frame], str | None]
"""the phase of a frame of the training loop; None for any other frame"""


@dataclass(frozen=True)
class Stacks:
    """Samples by stack, outermost frame first; the first level is the phase, and its loop's frames are dropped."""

    samples: Mapping[tuple[Frame, ...], int]
    outside: int
    """samples outside the training loop: imports, data, evaluation, reports"""
    rate: int
    """samples per second"""
    steps: int = 1
    """training steps that were sampled"""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """`found.conditions` of the sampled run; empty: not known"""

    def seconds_by_path(self) -> dict[tuple[tuple[str, str], ...], float]:
        """Seconds per step by (function, file) from the phase on; lines do not count."""
        found: dict[tuple[tuple[str, str], ...], float] = {}
        for stack, count in self.samples.items():
            path = tuple((frame.function, frame.file) for frame in stack)
            for depth in range(1, len(path) + 1):
                found[path[:depth]] = found.get(path[:depth], 0.0) + count / self.rate / self.steps
        return found

    def without_lines(self) -> "Stacks":
        """The same samples, whatever line each function was in."""
        samples: dict[tuple[Frame, ...], int] = {}
        for stack, count in self.samples.items():
            functions = tuple(replace(frame, line=0) for frame in stack)
            samples[functions] = samples.get(functions, 0) + count
        return replace(self, samples=samples)

    def by_phase(self) -> dict[str, int]:
        """Samples by phase."""
        found: dict[str, int] = {}
        for stack, count in self.samples.items():
            found[stack[0].function] = found.get(stack[0].function, 0) + count
        return found


def parse(text: str, phase_of: PhaseOf, rate: int, steps: int = 1) -> Stacks:
    """Read py-spy's raw format: a line per stack, frames joined by `;`, then the count. Raises UserError."""
    samples: dict[tuple[Frame, ...], int] = {}
    outside = 0
    for frames, count in _lines(text):
        found = [(i, phase) for i, frame in enumerate(frames) if (phase := phase_of(frame)) is not None]
        if not found:
            outside += count
            continue
        place, phase = found[-1]  # the innermost: collating happens within fetching
        stack = (Frame(phase, "", 0), *frames[place + 1 :])
        samples[stack] = samples.get(stack, 0) + count
    return Stacks(samples, outside, rate, steps)


def _lines(text: str) -> Iterator[tuple[list[Frame], int]]:
    for line in filter(None, text.splitlines()):
        joined, _, count = line.rpartition(" ")
        if not count.isdigit():
            raise UserError(f"not a line of py-spy's raw format: {line[:80]!r}")
        yield [_frame(part) for part in joined.split(";")], int(count)


def to_text(stacks: Stacks) -> str:
    """What `from_text` reads: py-spy's raw format, each stack from its phase on.

    Phases are told when samples are taken: the loop's lines may be others when they are read.
    """
    return "\n".join(f"{';'.join(map(str, stack))} {count}" for stack, count in stacks.samples.items())


def from_text(text: str, numbers: Mapping[str, Any]) -> Stacks:
    """The stacks of a `to_text` and its `counts`. Raises UserError."""
    samples = {tuple(frames): count for frames, count in _lines(text)}
    try:
        return Stacks(samples, numbers["outside"], numbers["rate"], numbers["steps"], numbers.get("conditions", {}))
    except KeyError as error:
        raise UserError(f"sampled stacks of an earlier version, without {error}; sample them anew") from None


def counts(stacks: Stacks) -> dict[str, Any]:
    """What the stacks' text does not say."""
    numbers = {"outside": stacks.outside, "rate": stacks.rate, "steps": stacks.steps}
    return {**numbers, "conditions": dict(stacks.conditions)}


def _frame(text: str) -> Frame:
    match = _FRAME.match(text.strip())
    if match is None:
        return Frame(text.strip(), "", 0)
    return Frame(match["function"], match["file"], int(match["line"] or 0))


def speedscope(stacks: Stacks, name: str) -> dict[str, Any]:
    """The stacks in speedscope's file format: one sampled profile, weights in seconds."""
    index: dict[Frame, int] = {}
    samples = [[index.setdefault(frame, len(index)) for frame in stack] for stack in stacks.samples]
    weights = [count / stacks.rate for count in stacks.samples.values()]
    frames = [{"name": f.function, **({"file": f.file, "line": f.line} if f.file else {})} for f in index]
    profile = {
        "type": "sampled", "name": name, "unit": "seconds", "startValue": 0, "endValue": sum(weights),
        "samples": samples, "weights": weights,
    }  # fmt: skip
    return {"$schema": SCHEMA, "name": name, "shared": {"frames": frames}, "profiles": [profile]}


def hottest(stacks: Stacks, within: str, most: int) -> list[tuple[str, str, int]]:
    """(file, function, samples) of the functions whose own code in files with `within` was sampled most often."""
    found: dict[tuple[str, str], int] = {}
    for stack, count in stacks.samples.items():
        own = next((frame for frame in reversed(stack) if within in frame.file), None)
        if own is not None:
            key = (own.file, own.function)
            found[key] = found.get(key, 0) + count
    ranked = sorted(found.items(), key=lambda item: -item[1])
    return [(file, function, count) for (file, function), count in ranked[:most]]


@dataclass(frozen=True)
class Box:
    """A rectangle of a flame graph: `depth` rows up, from `start` to `start + samples`."""

    frame: Frame
    depth: int
    start: int
    samples: int
    path: tuple[tuple[str, str], ...]
    """(function, file) from the phase to here"""


def boxes(stacks: Stacks, order: Sequence[str]) -> list[Box]:
    """The flame graph's rectangles: phases in `order`, callees above their callers, widths in samples."""
    ranks = {phase: i for i, phase in enumerate(order)}
    ranked = sorted(
        stacks.samples.items(), key=lambda item: (ranks.get(item[0][0].function, len(ranks)), list(map(str, item[0])))
    )
    return list(_boxes(ranked, (), 0))


def _boxes(
    stacks: Sequence[tuple[tuple[Frame, ...], int]], under: tuple[tuple[str, str], ...], start: int
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
        yield from _boxes(members, path, start)
        start += samples
