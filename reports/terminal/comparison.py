"""A and B side by side in the terminal, phase by phase. Every interval is 95 %."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from epoch_gap.profiler.analysis.stats import Estimate, Interval, mean_of_processes
from epoch_gap.profiler.comparison.fairness import Affects, audit_fairness
from epoch_gap.profiler.comparison.gap import EQUAL_WITHIN, Gap, Verdict
from epoch_gap.profiler.comparison.kernel_gap import measure_kernel_gap
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.printable import printable
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloor
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.cautions import describe_machines
from epoch_gap.reports.sentences.operating_system import describe_kernel_gap, describe_operating_system
from epoch_gap.reports.sentences.spread import describe_basis, describe_ratio
from epoch_gap.reports.sentences.verdict import describe_noise_floor
from epoch_gap.reports.terminal.tables import align

PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
HEAD = ("A", PLUS_MINUS, "B", PLUS_MINUS, "B - A", "95 % interval", "change")
UNDECIDED = "~"
LEGEND = (
    f"{UNDECIDED} undecided: the difference's interval includes 0, or is unknown; "
    "for the epoch also if the ratio's interval includes 1, or the ratio is within the noise floor"
)
AFFECTED = {Affects.TIME: "time", Affects.ACCURACY: "accuracy", Affects.BOTH: "time and accuracy"}


def comparison_table(a: Subject, b: Subject, gap: Gap, floor: NoiseFloor | None) -> str:
    """The table of `gap`, B over A, with the runs above it and every caveat below."""
    return "\n".join(
        [
            *warn_of_machines(a, b),
            *(describe_side(name, subject) for name, subject in _sides(a, b)),
            "",
            align(comparison_rows(a, b, gap), left=1),
            "",
            LEGEND,
            describe_verdict_on_b(gap),
            *list_notes(a, b, gap, floor),
        ]
    )


def list_notes(a: Subject, b: Subject, gap: Gap, floor: NoiseFloor | None) -> list[str]:
    """Every caveat of a comparison, a line each."""
    return [
        *_operating_system(a, b, gap),
        describe_noise_floor(floor),
        *_outliers(a, b),
        *_flags(a, b),
        *_differences(a, b),
    ]


def _operating_system(a: Subject, b: Subject, gap: Gap) -> Iterator[str]:
    lines = [describe_operating_system(replace(subject, side=name)) for name, subject in _sides(a, b)]
    yield from (line for line in [*lines, describe_kernel_gap(gap, measure_kernel_gap(gap))] if line is not None)


def warn_of_machines(a: Subject, b: Subject) -> Iterator[str]:
    """A warning if A and B ran on different machines."""
    if text := describe_machines({"A": a, "B": b}):
        yield f"WARNING: {text}"


def _flags(a: Subject, b: Subject) -> Iterator[str]:
    for name, subject in _sides(a, b):
        for analysis in subject.analyses:
            yield from (f"{name}  {flag.kind}: {flag.text}" for flag in analysis.flags)


def _outliers(a: Subject, b: Subject) -> Iterator[str]:
    """A process that was suspended, for one: a single step can widen an interval until nothing is shown."""
    for name, subject in _sides(a, b):
        for analysis in subject.analyses:
            spread, count = analysis.spread, len(analysis.asrun.steady)
            if spread.outliers:
                largest, without = formats.seconds(spread.largest), formats.seconds(spread.mean_without)
                yield (
                    f"{name}  outliers: {spread.outliers} of {count} steps; "
                    f"the largest {largest}, the mean without {without} per step"
                )


def _differences(a: Subject, b: Subject) -> Iterator[str]:
    for item in audit_fairness([a, b]):
        if item.differs:
            sides = "; ".join(f"{name} {item.values[s.id]}" for name, s in _sides(a, b))
            yield printable(f"differs, can affect {AFFECTED[item.affects]}: {item.name}: {sides}")


def comparison_rows(a: Subject, b: Subject, gap: Gap) -> list[Sequence[str]]:
    """The head, a row per phase, and the whole: A, B, B - A, each with its interval, and the change."""
    rows: list[Sequence[str]] = [(f"seconds per {a.size.span}", *HEAD)]
    for phase, part in gap.by_phase.items():
        sides = [s.epoch.interval(phase) for s in (a, b)]
        change = sides[1].value / sides[0].value - 1 if sides[0] and sides[1] and sides[0].value > 0 else None
        rows.append([phase, *_cells(sides), *_difference(part), _change(change, part.interval().excludes(0))])
    totals = [_total(s, gap).interval(least=0.0) for s in (a, b)]
    rows.append(
        [a.size.whole, *_cells(totals), *_difference(gap.seconds), _change(gap.ratio.value - 1, gap.is_clear)]
    )
    return rows


def _total(subject: Subject, gap: Gap) -> Estimate:
    """The epoch without the excluded phases. With repeats, from each run's total: phases vary together."""
    if len(subject.analyses) == 1:
        return subject.epoch.without(gap.excluded).total
    return mean_of_processes(e.without(gap.excluded).total.value for e in subject.any_epoch)


def _cells(sides: Sequence[Interval | None]) -> list[str]:
    return [cell for i in sides for cell in (formats.seconds(i.value if i else None), _half_width(i))]


def _half_width(i: Interval | None) -> str:
    """Half the interval as a share of the value; `?` if it is unknown."""
    if i is None or i.value <= 0:
        return ""
    return "?" if i.low is None or i.high is None else formats.percent((i.high - i.low) / 2 / i.value)


def _difference(part: Estimate) -> list[str]:
    i = part.interval()
    return [formats.signed(formats.seconds(i.value)), formats.within(i.low, i.high)]


def _change(share: float | None, is_clear: bool) -> str:
    """B over A minus 1; empty if one side has no such phase."""
    if share is None:
        return ""
    return formats.signed(formats.percent(share)) if is_clear else UNDECIDED


def describe_side(name: str, subject: Subject) -> str:
    """The configuration of a side, its runs, and how many processes and steps there are."""
    count = len(subject.runs)
    runs = f"run{'s' * (count > 1)} {', '.join(run.short_id for run in subject.runs)}"
    n = f"n = {count} process{'es' * (count > 1)}, {subject.steady_steps} steps"
    return f"{name}  {replace(subject, side='').title}, {runs}; {n}"


def _sides(a: Subject, b: Subject) -> list[tuple[str, Subject]]:
    return [("A", a), ("B", b)]


def describe_verdict_on_b(gap: Gap) -> str:
    """Whether B is slower or faster, with the ratio and what its interval rests on."""
    verdict = f"equal within {100 * EQUAL_WITHIN:.0f} %" if gap.verdict is Verdict.EQUAL else str(gap.verdict)
    without = f"; without {', '.join(gap.excluded)}, not measured on both sides" if gap.excluded else ""
    times = f"{describe_ratio(gap, f"times A's {gap.slow.size.whole}")}, {describe_basis(gap)}{without}"
    return f"B: {'faster' if gap.is_faster else verdict}: {times}"
