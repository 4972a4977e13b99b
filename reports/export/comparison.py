"""A comparison of A and B as Markdown, for a pull request, and as JSON, for programs. Contract: docs/summary.md."""

from dataclasses import asdict
from typing import Any

from epoch_gap.profiler.comparison.qualification import measure_rates
from epoch_gap.profiler.drilldown.sides import PartDifference
from epoch_gap.reports.comparison import Comparison, Gate
from epoch_gap.reports.export.intervals import interval_to_json
from epoch_gap.reports.export.json_text import strict_json
from epoch_gap.reports.export.markdown import bullets, table, text
from epoch_gap.reports.export.summary import summarise_gap, summarise_subject
from epoch_gap.reports.sentences.gate import describe_decision, describe_qualification, name_decision
from epoch_gap.reports.sentences.side_drilldowns import describe_sides
from epoch_gap.reports.terminal.comparison import (
    comparison_rows,
    describe_side,
    describe_verdict_on_b,
    list_notes,
    warn_of_machines,
)

SCHEMA_VERSION = 1


def comparison_markdown(comparison: Comparison) -> str:
    """The verdict first, then the table, the parts that differ, and the notes, folded."""
    a, b, gap, floor = comparison.a, comparison.b, comparison.gap, comparison.floor
    lines = [*_verdict(comparison), "", *table(comparison_rows(a, b, gap)), ""]
    for heading, parts in describe_sides(comparison.drilldowns).items():
        lines += [f"**{text(heading)}**", "", *bullets(parts), ""]
    sides = [describe_side(name, side) for name, side in (("A", a), ("B", b))]
    notes = [*sides, *warn_of_machines(a, b), *list_notes(a, b, gap, floor)]
    lines += ["<details><summary>Runs and notes</summary>", "", *bullets(notes), "", "</details>"]
    return "\n".join(lines)


def _verdict(comparison: Comparison) -> list[str]:
    verdict = text(describe_verdict_on_b(comparison.gap))
    gate = comparison.gate
    if gate is None:
        return [f"**{verdict}**"]
    decision = text(describe_decision(gate.decision, comparison.gap, gate.allowed))
    known = describe_qualification(gate.qualification, gate.allowed, comparison.gap.floor)
    rates = ["", text(known)] if comparison.can_be_qualified else []
    return [f"**Gate {name_decision(gate.decision)}:** {decision}", "", verdict, *rates]


def comparison_json(comparison: Comparison) -> str:
    """The same as JSON; unknown is null."""
    return strict_json(_to_json(comparison))


def _to_json(comparison: Comparison) -> dict[str, Any]:
    gap = summarise_gap(comparison.gap)
    verdict = "faster" if comparison.gap.is_faster else str(comparison.gap.verdict)
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict,
        "a": summarise_subject(comparison.a),
        "b": summarise_subject(comparison.b),
        "gap": {key: value for key, value in gap.items() if key not in ("slow", "fast", "verdict")},
        "gate": None if comparison.gate is None else _gate(comparison, comparison.gate),
        "layers": [_part(part) for part in comparison.drilldowns.stages],
        "operators": [_part(part) for part in comparison.drilldowns.categories],
        "not_timed": list(comparison.drilldowns.problems),
        "differs": [{"item": i.name, "values": i.values, "matters": i.affects} for i in comparison.differing],
    }


def _gate(comparison: Comparison, gate: Gate) -> dict[str, Any]:
    known = gate.qualification
    rates = [] if known is None else measure_rates(known, gate.allowed, comparison.gap.floor)
    return {
        "allowed": gate.allowed,
        "decision": name_decision(gate.decision),
        "reason": describe_decision(gate.decision, comparison.gap, gate.allowed),
        "qualification": None
        if known is None
        else {
            "rounds": known.rounds,
            "steps": known.steps,
            "phase": known.phase,
            "day": known.day,
            "rates": [{**asdict(rate), "share": interval_to_json(rate.share)} for rate in rates],
        },
    }


def _part(part: PartDifference) -> dict[str, Any]:
    return {
        "direction": part.direction,
        "name": part.name,
        "seconds_per_step": interval_to_json(part.seconds.interval()),
    }
