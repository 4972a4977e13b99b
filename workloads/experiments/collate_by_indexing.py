"""The article's third guess: a batch is one fancy index, in place of item reads and a stack."""

from collections.abc import Callable, Sequence
from typing import Any

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Ratio
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.adapters.numpy_loader import numpy_collate
from epoch_gap.workloads.cifar10.resized import ResizedImages
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.framework import Batch, Collate, Framework, Images, Labels
from epoch_gap.workloads.intervention import Undo, replace_attribute, scale_script, undo_all

EXPERIMENT = Experiment(
    name="collate_by_indexing",
    claim="Reading items one by one and stacking them is what makes a batch slow.",
    guess=3,
    frameworks=("lucid", "mlx", "torch", "fake"),
    may_change=(Phase.FETCH, Phase.COLLATE),
    prediction=Ratio((Phase.COLLATE,), isolated="variants"),
    keeps=0.0,
)
CLOCKS = {
    Phase.FETCH: "the batch's indices; no item is read",
    Phase.COLLATE: "one fancy index of the images, one of the labels",
}


def describe(framework: Framework) -> dict[str, Any]:
    """The loader."""
    return {"loader": f"{framework.describe().get('loader', 'scripted')}; one fancy index per batch"}


def apply(workload: Workload, dose: float) -> Undo:
    """Let the loader's dataset yield indices, and collate them by indexing. The loader's own path stays."""
    return _APPLY[workload.framework.name](workload)


def variants(
    images: Images, labels: Labels, indices: Sequence[int]
) -> tuple[Callable[[], Batch], Callable[[], Batch]]:
    """Collation of the items of a batch, by stack and by indexing."""
    items = [(images[i], labels[i]) for i in indices]
    return lambda: numpy_collate(items), lambda: _collate_by_indexing(images, labels)(indices)


def _collate_by_indexing(images: Images, labels: Labels) -> Collate:
    def collate(indices: Sequence[int]) -> Batch:
        return images[indices], labels[indices]

    return collate


def _of_numpy_loader(workload: Workload) -> Undo:
    """A loader that looks up `loader.dataset` for every batch."""
    loader: Any = workload.loader
    indices = getattr(loader.dataset, "indices", range(len(workload.labels)))
    return undo_all(
        [
            replace_attribute(loader, "dataset", indices),
            replace_attribute(workload.collation, "collate", _collate_by_indexing(workload.images, workload.labels)),
        ]
    )


def _of_torch_loader(workload: Workload) -> Undo:
    """PyTorch's loader asks the dataset for all items of a batch at once if it has `__getitems__`."""
    import torch

    loader: Any = workload.loader
    images, labels = workload.images, torch.from_numpy(workload.labels)
    tensor = None if isinstance(images, ResizedImages) else torch.from_numpy(images)

    def collate(indices: Sequence[int]) -> Batch:
        chosen = torch.tensor(indices)
        return torch.from_numpy(images[indices]) if tensor is None else tensor[chosen], labels[chosen]

    dataset = getattr(loader.dataset, "dataset", loader.dataset)
    return undo_all(
        [
            replace_attribute(dataset, "__getitems__", list),
            replace_attribute(workload.collation, "collate", collate),
        ]
    )


def _of_fake_loader(workload: Workload) -> Undo:
    return scale_script(workload.framework, {Phase.FETCH: 0.5, Phase.COLLATE: 0.5})


_APPLY: dict[str, Callable[[Workload], Undo]] = {
    "lucid": _of_numpy_loader,
    "mlx": _of_numpy_loader,
    "torch": _of_torch_loader,
    "fake": _of_fake_loader,
}
