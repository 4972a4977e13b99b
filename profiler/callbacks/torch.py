"""Times of the collectives of PyTorch's DistributedDataParallel, by its communication hook."""

from typing import Any

import torch
from torch.distributed import GradBucket, ProcessGroup  # type: ignore[attr-defined]
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.collectives import CollectiveKind, CollectiveLog


def time_collectives(
    model: DistributedDataParallel,
    log: CollectiveLog,
    forward: str = Phase.FORWARD,
    backward: str = Phase.BACKWARD,
) -> None:
    """Note in `log` when each bucket of gradients was ready and reduced, and each broadcast of buffers.

    Call it before the first step, with `recorder.collectives`, and with the phases in which the loop calls the model
    and `backward()`, if they have other names. The hook calls PyTorch's default one, which divides by
    the number of ranks before the sum; without a hook, DDP multiplies by its inverse. For a power of two, both give
    the same bits. DDP's own timers are noted, too, one step late.

    Raises UserError for a model on a GPU, whose queue no hook sees, and for one that has a hook already.
    """
    if any(parameter.device.type != "cpu" for parameter in model.parameters()):
        raise UserError("time_collectives(): the collectives of a GPU end in its own queue; only CPUs can be timed")
    clock, add, phase = log.clock, log.add, Phase(backward)
    group: ProcessGroup = model.process_group

    def reduce(state: Any, bucket: GradBucket) -> torch.futures.Future[torch.Tensor]:
        size = bucket.buffer().nbytes
        reduced = allreduce_hook(group, bucket)
        ready = clock()

        def note(done: torch.futures.Future[torch.Tensor]) -> torch.Tensor:
            add(phase, CollectiveKind.ALL_REDUCE, size, ready, clock())
            return done.value()

        return reduced.then(note)

    try:
        model.register_comm_hook(None, reduce)
    except RuntimeError as error:
        raise UserError(f"time_collectives(): the model cannot have this communication hook: {error}") from None
    _time_broadcasts(model, log, Phase(forward))
    model._set_ddp_runtime_logging_sample_rate(1)  # type: ignore[no-untyped-call]
    # Not in the hook: the timers and the backward pass share a lock.
    model.register_forward_hook(lambda *_: _read_timers(model, log, phase))


def _time_broadcasts(model: DistributedDataParallel, log: CollectiveLog, phase: Phase) -> None:
    """Time the broadcast of rank 0's buffers, which a training step's forward waits for."""
    clock, add, broadcast = log.clock, log.add, model._sync_buffers
    size = sum(buffer.nbytes for buffer in model.module.buffers())

    def timed() -> None:
        ready = clock()
        broadcast()  # type: ignore[no-untyped-call]
        add(phase, CollectiveKind.BROADCAST, size, ready, clock())

    model._sync_buffers = timed  # type: ignore[method-assign]


def _read_timers(model: DistributedDataParallel, log: CollectiveLog, phase: Phase) -> None:
    """Note the end of the last step's backward computation and of its communication, by DDP's own timers."""
    times = model._get_ddp_logging_data()  # type: ignore[no-untyped-call]
    computed, communicated = (int(times.get(f"backward_{part}_time_end", 0)) for part in ("compute", "comm"))
    if computed > 0 and communicated > 0:
        log.add(phase, CollectiveKind.TIMERS, 0, computed, communicated)


def collective_cost_ns(calls: int = 1_000) -> float:
    """What timing one collective costs on this machine, ns: the fastest of five rounds."""
    done: torch.futures.Future[torch.Tensor] = torch.futures.Future()
    done.set_result(torch.zeros(1))
    log, rounds = CollectiveLog(), []

    def note(future: torch.futures.Future[torch.Tensor]) -> torch.Tensor:
        log.add(Phase.BACKWARD, CollectiveKind.ALL_REDUCE, 0, 0, log.clock())
        return future.value()

    for _ in range(5):
        start = log.clock()
        for _ in range(calls):
            log.clock()
            done.then(note)
        rounds.append((log.clock() - start) / calls)
        log.take()
    return min(rounds)
