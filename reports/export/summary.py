"""summary.json: what a report says, for programs. Contract: docs/summary.md."""

from collections.abc import Sequence
from typing import Any

from epoch_gap.profiler.analysis.epoch import EpochEstimate, beginning, more_steps, steady_steps, warmup_steps
from epoch_gap.profiler.analysis.flags import drifted, flags
from epoch_gap.profiler.analysis.stats import Estimate, Interval
from epoch_gap.profiler.comparison.attribution import perturbation
from epoch_gap.profiler.comparison.fairness import Item
from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.storage.run import Run, finite

SCHEMA_VERSION = 1


def summarise(subjects: Sequence[Subject], gaps: Sequence[Gap], fairness: Sequence[Item]) -> dict[str, Any]:
    """The contract's object, ready for JSON; what is unknown is None."""
    return {
        "schema_version": SCHEMA_VERSION,
        "subjects": [_subject(subject) for subject in subjects],
        "gaps": [_gap(gap) for gap in gaps],
        "fairness": [
            {"item": item.name, "values": item.values, "differs": item.differs, "matters": item.matters}
            for item in fairness
        ],
    }


def _subject(subject: Subject) -> dict[str, Any]:
    manifest, epoch = subject.first.manifest, subject.epoch
    return {
        "id": subject.id,
        "framework": manifest["framework"]["name"],
        "framework_version": manifest["framework"]["version"],
        "device": manifest["framework"]["device"],
        "data": manifest["data"]["kind"],
        "batch_size": subject.first.batch_size,
        "runs": [run.id for run in subject.runs],
        "status": [run.status for run in subject.runs],
        "steps": _steps(subject.runs),
        "epoch_seconds": {
            **_as_dict(epoch.total.interval(least=0.0)),
            "kind": "measured" if epoch.measured else "estimated",
        },
        "phases": {"asrun": _phases(epoch), "fenced": _phases(subject.fenced.epoch) if subject.fenced else None},
        "perturbation": _as_dict(shift) if (shift := perturbation(subject)) else None,
        "marks_share": max(marks_share(run) for run in subject.runs),
        "peak_rss_bytes": max(run.manifest.get("peak_rss_bytes", 0) for run in subject.runs) or None,
        "drifted": _drifted(subject),
        "flags": [{"run": run.id, "name": f.name, "text": f.text} for run in subject.runs for f in flags(run)],
        "beginning": [beginning(run.train, run.batch_size).kind for run in subject.runs],
        "more_steps": [more_steps(run) for run in subject.runs],
        "accuracy": _accuracy(subject.first),
    }


def _drifted(subject: Subject) -> bool | None:
    """True where one run drifted, None where that is not known of all."""
    found = [drifted(run) for run in subject.runs]
    return True if True in found else None if None in found else False


def _steps(runs: Sequence[Run]) -> dict[str, int]:
    warmup = sum(warmup_steps(run) for run in runs)
    fenced = sum(int(run.train.fenced[warmup_steps(run) :].sum()) for run in runs)
    return {"warmup": warmup, "asrun": sum(len(run.train) for run in runs) - warmup - fenced, "fenced": fenced}


def _phases(epoch: EpochEstimate) -> dict[str, Any]:
    return {phase: _phase(epoch.interval(phase), epoch.total.value) for phase in epoch.phases}


def _phase(interval: Interval | None, whole: float) -> dict[str, float | None] | None:
    if interval is None:
        return None
    share = interval.value / whole
    return {"seconds": interval.value, "low": interval.low, "high": interval.high, "share": share}


def marks_share(run: Run) -> float:
    """The part of a steady step that its marks cost at least: phases marked per step x cost of one mark / step.

    A phase may be marked more than once in a step; how often is not stored.
    """
    steady = steady_steps(run)
    return float(len(steady.phase_ns) * run.manifest["mark_cost_ns"] / steady.wall_ns.mean())


def _accuracy(run: Run) -> dict[str, Any]:
    return {
        "first_batch_loss": finite(run.train.loss[0]) if len(run.train) else None,
        "epochs": [
            {
                "epoch": e.epoch, "train_loss": finite(e.train_loss), "train_acc": e.train_acc,
                "test_loss": finite(e.test_loss), "test_acc": e.test_acc, "lr": e.lr, "seconds": e.wall_ns * 1e-9,
            }
            for e in run.epochs
        ],
    }  # fmt: skip


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "slow": gap.slow.id,
        "fast": gap.fast.id,
        "seconds": _interval(gap.seconds),
        "ratio": _as_dict(gap.ratio),
        "verdict": gap.verdict,
        "noise_floor": gap.floor,
        "interval": gap.kind,
        "left_out": list(gap.left_out),
        "by_phase": {"asrun": _by_phase(gap), "fenced": _by_phase(gap.fenced) if gap.fenced else None},
    }


def _by_phase(gap: Gap) -> dict[str, dict[str, float | None]]:
    return {phase: _interval(e) for phase, e in gap.by_phase.items()}


def _interval(estimate: Estimate) -> dict[str, float | None]:
    return _as_dict(estimate.interval())


def _as_dict(interval: Interval) -> dict[str, float | None]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}
