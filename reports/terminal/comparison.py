"""B beside A in the terminal: phase by phase, with what may be said of it. Every interval is 95 %."""

from collections.abc import Sequence
from dataclasses import replace

from epoch_gap.profiler.analysis.epoch import steady_steps
from epoch_gap.profiler.analysis.flags import flags
from epoch_gap.profiler.analysis.stats import Estimate, Interval, between
from epoch_gap.profiler.comparison import gap as compare
from epoch_gap.profiler.comparison.fairness import audit, other_machines
from epoch_gap.profiler.comparison.noise_floor import Floor
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.reports import theme
from epoch_gap.reports.sentences.verdict import noise_floor, short_id
from epoch_gap.reports.terminal.tables import aligned

HEAD = (
    "seconds per epoch",
    "A",
    "\N{PLUS-MINUS SIGN}",
    "B",
    "\N{PLUS-MINUS SIGN}",
    "B - A",
    "95 % interval",
    "change",
)
UNDECIDED = "~"
LEGEND = (
    f"{UNDECIDED} undecided: the difference's interval includes 0, or is unknown; "
    "of the epoch, also where the ratio's includes 1, or the ratio is within the noise floor"
)


def comparison(a: Subject, b: Subject, gap: compare.Gap, floor: Floor | None) -> str:
    """The table of `gap`, B over A, between lines that say what was compared and what may have moved it."""
    machines = other_machines({"A": a, "B": b})
    lines = [f"WARNING: {machines}"] if machines else []
    lines += [_who(name, s) for name, s in _sides(a, b)]
    lines += ["", aligned(_rows(a, b, gap), left=1), "", LEGEND, _in_words(gap), noise_floor(floor)]
    lines += [f"{name}  {flag.name}: {flag.text}"
              for name, s in _sides(a, b) for run in s.runs for flag in flags(run)]  # fmt: skip
    for item in audit([a, b]):
        if item.differs:
            sides = "; ".join(f"{name} {item.values[s.id]}" for name, s in _sides(a, b))
            lines.append(f"differs, can move {item.matters}: {item.name}: {sides}")
    return "\n".join(lines)


def _rows(a: Subject, b: Subject, gap: compare.Gap) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [HEAD]
    for phase, part in gap.by_phase.items():
        sides = [s.epoch.interval(phase) for s in (a, b)]
        change = sides[1].value / sides[0].value - 1 if sides[0] and sides[1] and sides[0].value > 0 else None
        rows.append([phase, *_cells(sides), *_difference(part), _change(change, part.interval().excludes(0))])
    totals = [_total(s, gap).interval(least=0.0) for s in (a, b)]
    rows.append(["epoch", *_cells(totals), *_difference(gap.seconds), _change(gap.ratio.value - 1, gap.clear)])
    return rows


def _total(subject: Subject, gap: compare.Gap) -> Estimate:
    """Of an epoch without what is left out. Over repeats each epoch's own: its phases go up and down together."""
    if len(subject.runs) == 1:
        return subject.epoch.without(gap.left_out).total
    return between(e.without(gap.left_out).total.value for e in subject.general)


def _cells(sides: Sequence[Interval | None]) -> list[str]:
    return [cell for i in sides for cell in (theme.seconds(i.value if i else None), _half_width(i))]


def _half_width(i: Interval | None) -> str:
    """Half the interval as a share of the value; `?` where it is unknown."""
    if i is None or i.value <= 0:
        return ""
    return "?" if i.low is None or i.high is None else theme.percent((i.high - i.low) / 2 / i.value)


def _difference(part: Estimate) -> list[str]:
    i = part.interval()
    return [theme.signed(theme.seconds(i.value)), theme.within(i.low, i.high)]


def _change(share: float | None, clear: bool) -> str:
    """B over A minus 1; nothing where one side has no such phase."""
    if share is None:
        return ""
    return theme.signed(theme.percent(share)) if clear else UNDECIDED


def _who(name: str, subject: Subject) -> str:
    runs = f"run{'s' * (len(subject.runs) > 1)} {', '.join(map(short_id, subject.runs))}"
    steps = sum(len(steady_steps(run)) for run in subject.runs)
    n = f"n = {len(subject.runs)} process{'es' * (len(subject.runs) > 1)}, {steps} steps"
    return f"{name}  {replace(subject, side='').title}, {runs}; {n}"


def _sides(a: Subject, b: Subject) -> list[tuple[str, Subject]]:
    return [("A", a), ("B", b)]


def _in_words(gap: compare.Gap) -> str:
    """The verdict on B against A."""
    low, high = gap.ratio.low, gap.ratio.high
    faster = gap.clear and gap.ratio.value < 1 and gap.verdict != "equal"
    word = {"equal": f"equal within {compare.EQUAL_WITHIN:.0%}"}.get(gap.verdict, gap.verdict)
    left_out = f"; without {', '.join(gap.left_out)}, not measured wherever there is one" if gap.left_out else ""
    times = (
        f"{theme.times(gap.ratio.value)} times A's epoch, 95 % {theme.within(low, high, 'x')}, {gap.kind}{left_out}"
    )
    return f"B: {'faster' if faster else word}: {times}"
