"""A distributed training in words: who is late, which rank ended, and under which conditions it was timed."""

from collections.abc import Iterator

from epoch_gap.profiler.distributed.analysis import DistributedAnalysis
from epoch_gap.profiler.distributed.exchange import ExchangeCost
from epoch_gap.profiler.distributed.straggler import COVERS, MATTERS, Pattern
from epoch_gap.profiler.distributed.training import DistributedTraining, was_killed
from epoch_gap.profiler.recording.collectives import CollectiveKind
from epoch_gap.profiler.storage.manifest import RunStatus
from epoch_gap.reports import formats

AGREE = 0.1
"""largest relative difference at which the two ways to time the exposed communication agree"""


def describe_blame(analysis: DistributedAnalysis) -> str:
    """Who is late, since which phase, and what it costs per epoch, in one sentence."""
    blame, ranks = analysis.blame, analysis.training.world_size
    if blame.pattern is Pattern.UNKNOWN:
        return f"{ranks} ranks, nobody is blamed: {blame.reason}"
    if blame.pattern is Pattern.NOBODY:
        return f"{ranks} ranks, none is late by more than {formats.percent(MATTERS)} of a step"
    lost = formats.interval(analysis.per_epoch(blame.lost))
    if blame.pattern is Pattern.ROTATING:
        return f"{ranks} ranks are late in turn: no single one, but waiting for the last costs {lost} per epoch"
    straggler, cost = blame.straggler, analysis.cost_per_epoch
    assert straggler is not None
    assert cost is not None
    often = f"in {formats.percent(straggler.last_share)} of the steps"
    how = often if blame.pattern is Pattern.INTERMITTENT else f"last {often}"
    return f"Rank {straggler.rank} is late, {how}: it costs {formats.interval(cost)} per epoch. {_cause(analysis)}"


def _cause(analysis: DistributedAnalysis) -> str:
    blame = analysis.blame
    if blame.cause is None:
        return f"No phase explains {COVERS:.0%} of it"
    ms = formats.interval_ms(blame.excess[blame.cause].interval())
    return f"The cause is {blame.cause}, {ms} longer per step than on the other ranks"


def describe_ends(training: DistributedTraining) -> Iterator[str]:
    """Which rank ended first, and how the others did; nothing if all completed."""
    for rank in training.missing:
        yield f"rank {rank} has no stored run"
    first = training.first_to_end
    for run, rank in zip(training.runs, training.ranks, strict=True):
        if run.status is RunStatus.COMPLETE:
            continue
        steps = f"after {len(run.train)} stored training steps"
        if run.status is RunStatus.RUNNING:
            yield f"rank {rank} is still running, {steps}"
        elif run is first:
            how = "its process was killed" if was_killed(run) else str(run.status)
            yield f"rank {rank} ended first ({how}), {steps}"
        else:
            yield f"rank {rank} ended {steps} ({'killed' if was_killed(run) else run.status})"


def describe_conditions(analysis: DistributedAnalysis) -> Iterator[str]:
    """Clocks, collectives, threads, and the agreement and the cost of the instruments."""
    training, arrivals = analysis.training, analysis.arrivals
    if arrivals is not None:
        yield _describe_clocks(analysis)
        yield f"means over {len(arrivals.steps)} steps that every rank has{_dropped(arrivals.dropped)}"
        if any(point.kind is CollectiveKind.BROADCAST for point in arrivals.points):
            yield "rank 0's buffers are broadcast in forward, so the ranks also wait for each other there"
    for own, theirs in analysis.timers[:1]:
        yield (
            f"exposed communication of backward on rank {training.ranks[0]}: {formats.milliseconds(own)} by the hook"
            f", {formats.milliseconds(theirs)} by DDP's own timers; {_agreement(own, theirs)}"
        )
    if analysis.exchange is not None:
        yield _describe_exchange(analysis.exchange)
    if analysis.own_cost_share is not None:
        yield f"timing the collectives costs {formats.percent(analysis.own_cost_share)} of a step"
    yield from _describe_threads(training)
    yield from _describe_accuracy(training)


def _describe_exchange(cost: ExchangeCost) -> str:
    """The exposed communication by the hook beside that by `no_sync`, and what the difference is made of."""
    held, longer = (formats.interval_ms(part.interval()) for part in (cost.held, cost.longer))
    both = (
        f"exposed communication, mean of the ranks: {held} by the hook; "
        f"forward and backward are {longer} shorter without the exchange"
    )
    work = cost.work.interval()
    if not work.excludes(0):
        return f"{both}: no difference is shown"
    if work.value < 0:
        return f"{both}: the hook gives {formats.interval_ms(cost.work.scaled(-1).interval())} more"
    longer_work = f"{both}: with it the ranks also work {formats.interval_ms(work)} longer"
    if cost.cpu is None:
        return longer_work
    return f"{longer_work}, and use {formats.interval_ms(cost.cpu.interval())} more CPU time"


def _describe_accuracy(training: DistributedTraining) -> Iterator[str]:
    """Each rank evaluates its share of the test set."""
    tables = [run.evaluate for run in training.runs]
    images, correct = (sum(int(getattr(table, name).sum()) for table in tables) for name in ("images", "correct"))
    if all(map(len, tables)):
        yield f"test accuracy, all shares together: {formats.percent(correct / images)} of {images} images"


def _agreement(one: float, other: float) -> str:
    apart = abs(one - other) / max(one, other, 1e-9)
    return "they agree" if apart <= AGREE else f"they differ by {formats.percent(apart)}"


def _dropped(count: int) -> str:
    return f"; {count} others lack some rank's collectives" if count else ""


def _describe_clocks(analysis: DistributedAnalysis) -> str:
    arrivals = analysis.arrivals
    assert arrivals is not None
    if arrivals.error_ns == 0:
        return "all ranks read one clock: that of one boot of one host"
    if arrivals.error_ns is None:
        return "the ranks' clocks differ, and no offset fits all collectives"
    return f"the ranks' clocks differ; offsets estimated within {formats.milliseconds(arrivals.error_ns * 1e-9)}"


def _describe_threads(training: DistributedTraining) -> Iterator[str]:
    """The threads of each process; torchrun allows one, unless it is told otherwise."""
    threads = {str(run.framework.conditions.get("threads", "n/a")) for run in training.runs}
    run = training.runs[0]
    cores = run.manifest.environment.machine.cores_usable
    if threads == {"n/a"}:
        return
    yield f"threads per process: {', '.join(sorted(threads))}; cores of the host: {cores}"
    if len(threads) > 1:
        yield "the ranks have different numbers of threads: they are not equally fast"
    set_by = run.manifest.environment.variables.get("OMP_NUM_THREADS")
    if set_by == "1" and isinstance(cores, int) and cores >= 2 * training.world_size:
        yield "OMP_NUM_THREADS is 1, as torchrun sets it, though the host has more cores per rank; set it yourself"
