"""summary.json: the report for programs. Contract: docs/summary.md."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from epoch_gap.profiler.analysis.accuracy import Evaluation, largest_loss_difference, list_evaluations
from epoch_gap.profiler.analysis.epoch import EpochEstimate
from epoch_gap.profiler.analysis.run_analysis import WarmUp
from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.profiler.comparison.accuracy import AccuracyComparison, LossComparison, compare_accuracy
from epoch_gap.profiler.comparison.fairness import Item
from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.comparison.kernel_gap import (
    mean_kernel_seconds,
    mean_kernel_time,
    mean_usage,
    mean_usage_of_steps,
    measure_kernel_gap,
)
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.storage.manifest import NETWORK_FIELDS
from epoch_gap.profiler.storage.typed_json import finite_or_none
from epoch_gap.reports.cross import Cross
from epoch_gap.reports.experiments import NO_EXPERIMENTS, Experiments
from epoch_gap.reports.export.cross import summarise_cross
from epoch_gap.reports.export.experiments import summarise_experiments
from epoch_gap.reports.export.intervals import interval_to_json

SCHEMA_VERSION = 1


def summarise(
    subjects: Sequence[Subject],
    gaps: Sequence[Gap],
    fairness: Sequence[Item],
    experiments: Experiments = NO_EXPERIMENTS,
    cross: Cross | None = None,
) -> dict[str, Any]:
    """The contract's object as JSON values; None: unknown."""
    return {
        "schema_version": SCHEMA_VERSION,
        "subjects": [summarise_subject(subject) for subject in subjects],
        "gaps": [summarise_gap(gap) for gap in gaps],
        "fairness": [
            {"item": item.name, "values": item.values, "differs": item.differs, "matters": item.affects}
            for item in fairness
        ],
        "experiments": summarise_experiments(experiments),
        "cross": summarise_cross(cross),
    }


def summarise_subject(subject: Subject) -> dict[str, Any]:
    """One of the `subjects`."""
    analyses, manifest = subject.analyses, subject.manifest
    effect = subject.fence_effect
    return {
        "id": subject.id,
        "framework": manifest.framework.name,
        "framework_version": manifest.framework.version,
        "framework_commit": manifest.framework.installed_commit,
        "device": manifest.framework.device,
        "data": manifest.data.kind,
        "batch_size": manifest.config.batch_size,
        **_network(subject),
        "runs": [run.id for run in subject.runs],
        "status": [run.status for run in subject.runs],
        "steps": _steps(subject),
        "epoch_seconds": {
            **interval_to_json(subject.epoch.seconds),
            "kind": "measured" if subject.epoch.measured else "estimated",
        },
        "phases": {
            "asrun": _phases(subject.epoch),
            "fenced": _phases(subject.fenced.epoch) if subject.fenced else None,
        },
        "perturbation": interval_to_json(effect.perturbation) if effect else None,
        "marks_share": max(a.marks_share for a in analyses),
        "peak_rss_bytes": max(run.manifest.peak_rss_bytes or 0 for run in subject.runs) or None,
        "drifted": _has_drifted(subject),
        "flags": [{"run": a.run.id, "name": flag.kind, "text": flag.text} for a in analyses for flag in a.flags],
        "beginning": [a.selection.start.kind for a in analyses],
        "warm_up": [_warm_up(a.warm_up) for a in analyses],
        "more_steps": [a.more_steps for a in analyses],
        "accuracy": _accuracy(subject),
        "operating_system": _operating_system(subject),
        "per": subject.size.span,
    }


def _network(subject: Subject) -> dict[str, Any]:
    """The network and the rows of an image; null for a custom training loop."""
    return dict.fromkeys(NETWORK_FIELDS) if subject.is_custom else asdict(subject.config.network)


def _operating_system(subject: Subject) -> dict[str, Any] | None:
    """The kernel's time per epoch, the mean of the runs; None if a run's is unknown."""
    seconds, steps = mean_kernel_time(subject), mean_usage_of_steps(subject)
    if seconds is None or steps is None:
        return None
    return {
        "epoch_seconds": interval_to_json(seconds.interval(least=0.0)),
        "phases": mean_kernel_seconds(subject) or None,
        "share_of_cpu_time": steps.cpu_share,
        "page_faults_per_second": steps.faults,
        "cores_busy": {phase: usage.cores_busy for phase, usage in mean_usage(subject).items()} or None,
    }


def _warm_up(warm_up: WarmUp) -> dict[str, Any]:
    return {
        "steps": warm_up.steps,
        "excess_seconds": warm_up.excess,
        "first_epoch_extra_seconds": interval_to_json(warm_up.first_epoch_extra.interval()),
        "cause": str(warm_up.cause.cause) if warm_up.cause else None,
        "is_long": warm_up.is_long,
        "compilation_seconds": warm_up.compilation,
    }


def _has_drifted(subject: Subject) -> bool | None:
    """True if any run drifted; otherwise None if that is unknown for any run."""
    by_run = [a.has_drifted for a in subject.analyses]
    return True if True in by_run else None if None in by_run else False


def _steps(subject: Subject) -> dict[str, int]:
    counts = [a.steps for a in subject.analyses]
    return {
        "warmup": sum(count.warm_up for count in counts),
        "asrun": sum(count.asrun for count in counts),
        "fenced": sum(count.fenced for count in counts),
    }


def _phases(epoch: EpochEstimate) -> dict[str, Any]:
    return {phase: _phase(epoch.interval(phase), epoch.total.value) for phase in epoch.listed}


def _phase(interval: Interval | None, whole: float) -> dict[str, float | None] | None:
    if interval is None:
        return None
    share = interval.value / whole
    return {"seconds": interval.value, "low": interval.low, "high": interval.high, "share": share}


def _accuracy(subject: Subject) -> dict[str, Any]:
    run = subject.first
    return {
        "evaluations": [_evaluation(evaluation) for evaluation in list_evaluations(run)],
        "repeats_loss_difference": largest_loss_difference(subject.runs),
        "first_batch_loss": finite_or_none(run.train.loss[0]) if len(run.train) else None,
        "epochs": [
            {
                "epoch": e.epoch,
                "train_loss": finite_or_none(e.train_loss),
                "train_acc": finite_or_none(e.train_acc),
                "test_loss": finite_or_none(e.test_loss),
                "test_acc": finite_or_none(e.test_acc),
                "lr": finite_or_none(e.lr),
                "seconds": e.wall_ns * 1e-9,
            }
            for e in run.epochs
        ],
    }


def _evaluation(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "epoch": evaluation.epoch,
        "steps": evaluation.steps,
        "images": evaluation.images,
        "correct": evaluation.correct,
        "accuracy": interval_to_json(evaluation.accuracy),
    }


def _learning(comparison: AccuracyComparison) -> dict[str, Any]:
    slow, fast = comparison.evaluations
    return {
        "verdict": comparison.verdict,
        "difference": interval_to_json(comparison.difference) if comparison.difference else None,
        "slow": _evaluation(slow) if slow else None,
        "fast": _evaluation(fast) if fast else None,
        "data_order": comparison.data_order,
        "initialisation": comparison.initialisation,
        "loss": _losses(comparison.losses) if comparison.losses else None,
    }


def _losses(losses: LossComparison) -> dict[str, Any]:
    sides = ("slow", "fast")
    return {
        "steps": losses.steps,
        "last": losses.last,
        "first_batch": dict(zip(sides, losses.first, strict=True)),
        "mean": dict(zip(sides, losses.means, strict=True)),
        "difference": interval_to_json(losses.difference),
    }


def summarise_gap(gap: Gap) -> dict[str, Any]:
    """One of the `gaps`."""
    return {
        "slow": gap.slow.id,
        "fast": gap.fast.id,
        "seconds": interval_to_json(gap.seconds.interval()),
        "ratio": interval_to_json(gap.ratio),
        "ratio_within": interval_to_json(gap.ratio_within),
        "verdict": gap.verdict,
        "noise_floor": gap.floor,
        "interval": gap.scope,
        "basis": asdict(gap.basis) if gap.basis else None,
        "left_out": list(gap.excluded),
        "accuracy": _learning(compare_accuracy(gap)),
        "operating_system": _kernel_gap(gap),
        "by_phase": {"asrun": _by_phase(gap), "fenced": _by_phase(gap.fenced) if gap.fenced else None},
    }


def _kernel_gap(gap: Gap) -> dict[str, Any] | None:
    kernel = measure_kernel_gap(gap)
    if kernel is None:
        return None
    by_phase = {phase: interval_to_json(part.interval()) for phase, part in (kernel.by_phase or {}).items()}
    return {"seconds": interval_to_json(kernel.seconds.interval()), "by_phase": by_phase or None}


def _by_phase(gap: Gap) -> dict[str, dict[str, float | None]]:
    return {phase: interval_to_json(part.interval()) for phase, part in gap.by_phase.items()}
