"""MLX's training as one rank of several: `average_gradients` between the gradients and the update.

Communication is as lazy as everything else: an as-run step charges it to `step`, which evaluates everything. A fenced
step waits for the rank's own gradients, then for the mean of all ranks': the time in between is `communication`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten

from epoch_gap.profiler.distributed.communication import REST
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.rank import Rank
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.collectives import CollectiveKind
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.workloads.adapters.mlx_resnet import MlxResNet
from epoch_gap.workloads.adapters.numpy_loader import NumpyDataset, ShuffledBatches, numpy_collate
from epoch_gap.workloads.architecture import Architecture
from epoch_gap.workloads.framework import Batch, Images, Labels, WrapCollate


class MlxRank(MlxResNet):
    """One rank of the article's training on native MLX."""

    def __init__(self, device: str, seed: int, rank: Rank, architecture: Architecture) -> None:
        super().__init__(device, seed, architecture=architecture)
        try:
            self._group = mx.distributed.init(strict=rank.world_size > 1)
        except RuntimeError as error:
            raise UserError(f"{rank.title}: MLX cannot reach the other ranks: {error}") from None
        self._rank, self.world_size = rank, rank.world_size
        self._recorder: Recorder | None = None
        self.phases = self.phases | {REST}
        self.clocks = {
            **self.clocks,
            REST: "nn.average_gradients(gradients): requested; a fenced step waits for it",
            Phase.STEP: "Adam.update, mx.eval(parameters, state): gradients, their mean, the update",
        }

    def loader(
        self,
        images: Images,
        labels: Labels,
        batch_size: int,
        shuffle: bool,
        wrap_collate: WrapCollate,
        order: Sequence[int] | None = None,
    ) -> Iterable[Batch]:
        dataset = NumpyDataset(images, labels)
        return _RankBatches(self._rank, dataset, batch_size, shuffle, wrap_collate(numpy_collate), order)

    def watch_collectives(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def step(self) -> None:
        gradients = self._requested
        if self._recorder is None:
            self._requested = nn.average_gradients(gradients, self._group)
        else:
            log = self._recorder.collectives
            ready = log.clock()
            self._requested = nn.average_gradients(gradients, self._group)
            self._recorder.mark(REST)
            size = sum(array.nbytes for _, array in tree_flatten(gradients))
            log.add(REST, CollectiveKind.ALL_REDUCE, size, ready, log.clock())
        super().step()

    def share(self, value: int) -> int:
        own = mx.array(value if self._rank.rank == 0 else 0)
        shared: Any = mx.distributed.all_sum(own, group=self._group).item()
        return int(shared)

    def leave(self) -> None:
        mx.synchronize()

    def describe(self) -> dict[str, Any]:
        return super().describe() | {
            "distributed": f"mlx.nn.average_gradients, {self.world_size} ranks; buffers stay each rank's own",
            "data_order": "NumPy's permutation, by seed the same on every rank; each takes its share",
        }


class _RankBatches(ShuffledBatches):
    """The batches of one rank: its share of each order, of equal length on all ranks."""

    def __init__(self, rank: Rank, dataset: NumpyDataset, *others: Any) -> None:
        super().__init__(dataset, *others)
        self._rank = rank

    def __iter__(self) -> Iterator[Any]:
        order = np.random.permutation(len(self.dataset)) if self._shuffle else np.array(self._order)
        size = self._rank.world_size
        padded = np.resize(order, -(-len(order) // size) * size)
        return self._batches(padded[self._rank.rank :: size])
