"""PyTorch's training as one rank of several: DistributedDataParallel and DistributedSampler."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler, default_collate

from epoch_gap.profiler.callbacks.torch import collective_cost_ns, time_collectives
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.rank import Rank
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.workloads.adapters.torch_resnet import TorchResNet, dataset_of
from epoch_gap.workloads.architecture import Architecture
from epoch_gap.workloads.framework import Batch, Images, Labels, WrapCollate

BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


class TorchRank(TorchResNet):
    """One rank of the article's PyTorch training; each evaluates its share of the test set without DDP."""

    def __init__(self, device: str, seed: int, rank: Rank, architecture: Architecture) -> None:
        if torch.cuda.is_available() and device in ("auto", "cuda"):
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        super().__init__(device, seed, architecture)
        self._rank, self._seed, self.world_size = rank, seed, rank.world_size
        self._backend = BACKENDS.get(self.device)
        if self._backend is None:
            raise UserError(f"torch cannot train ranks on {self.device}; choose one of: {', '.join(BACKENDS)}")
        with _peers(rank):
            distributed.init_process_group(self._backend, rank=rank.rank, world_size=rank.world_size)
            self.network = DistributedDataParallel(self.model)
        self.clocks = self.clocks | {
            Phase.FORWARD: "DDP: broadcast of rank 0's buffers; model(images), loss",
            Phase.BACKWARD: "loss.backward(); DDP all-reduces the gradients, bucket by bucket",
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
        dataset = dataset_of(images, labels, order)
        shares = _Shares(dataset, self._rank.world_size, self._rank.rank, shuffle, self._seed)
        return DataLoader(dataset, batch_size, sampler=shares, collate_fn=wrap_collate(default_collate))

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.model.training:
            return super().forward(inputs, targets)
        with _peers(self._rank):
            logits = self.network(inputs)
        return logits, self._criterion(logits, targets)

    def backward(self, loss: torch.Tensor) -> None:
        with _peers(self._rank):
            super().backward(loss)

    def watch_collectives(self, recorder: Recorder) -> None:
        if self.device == "cpu":
            time_collectives(self.network, recorder.collectives)

    def share(self, value: int) -> int:
        shared = torch.tensor([value], device=self.device)
        with _peers(self._rank):
            distributed.broadcast(shared, 0)
        return int(shared.item())

    def keep_state(self) -> Callable[[], None]:
        """Copy parameters, buffers and optimizer; the function that is returned puts them back."""
        model, optimizer = deepcopy(self.model.state_dict()), deepcopy(self._optimizer.state_dict())

        def restore() -> None:
            self.model.load_state_dict(model)
            self._optimizer.load_state_dict(optimizer)
            self._optimizer.zero_grad()

        return restore

    def leave(self) -> None:
        distributed.destroy_process_group()

    def describe(self) -> dict[str, Any]:
        sampler = "DistributedSampler, equal shares; the last ranks repeat images"
        return super().describe() | {
            "distributed": f"DistributedDataParallel over {self._backend}, {self._rank.world_size} ranks, "
            "buffers broadcast from rank 0 in every forward",
            "collective_cost_ns": round(collective_cost_ns()) if self.device == "cpu" else None,
            "data_order": f"{sampler}, permutation by seed and epoch",
            "loader": f"torch.utils.data.DataLoader, 0 workers, TensorDataset, default_collate, {sampler}",
        }


class _Shares(DistributedSampler[Any]):
    """The rank's share of the images; of another permutation in each pass if they are shuffled."""

    def __init__(self, dataset: Dataset[Any], world_size: int, rank: int, shuffle: bool, seed: int) -> None:
        super().__init__(dataset, world_size, rank, shuffle=shuffle, seed=seed)

    def __iter__(self) -> Iterator[Any]:
        indices = super().__iter__()
        self.epoch += 1
        return indices


@contextmanager
def _peers(rank: Rank) -> Iterator[None]:
    """Turn the error of a collective whose other ranks are gone into one line."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if isinstance(error, distributed.DistError) or "gloo" in str(error) or "MASTER_" in str(error):
            reason = str(error).splitlines()[0]
            raise UserError(f"{rank.title}: another rank is gone, or cannot be reached: {reason}") from None
        raise
