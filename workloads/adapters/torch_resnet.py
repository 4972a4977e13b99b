"""PyTorch: torchvision's network with the article's stem, its DataLoader, its loop body."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, default_collate

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import BUILT_IN, Phase
from epoch_gap.workloads.adapters.torch_networks import build_network, describe_initialisation
from epoch_gap.workloads.adapters.torch_parity import TorchParity
from epoch_gap.workloads.adapters.torch_spans import TorchLayerTimings, canonical_name
from epoch_gap.workloads.architecture import Architecture, resnet18
from epoch_gap.workloads.cifar10.images import SHAPE
from epoch_gap.workloads.cifar10.resized import ResizedImages
from epoch_gap.workloads.framework import LOGGING_CLOCK, Batch, Images, Labels, Weights, WrapCollate, seed_python
from epoch_gap.workloads.optimizer import ADAM, TORCH_SCHEDULE, StepLR


class ResizedDataset(Dataset[Any]):
    """(image, label) by number, of images that are resized when they are read."""

    def __init__(self, images: ResizedImages, labels: torch.Tensor) -> None:
        self._images, self._labels = images, labels

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self._images[index]), self._labels[index]


def dataset_of(images: Images, labels: Labels, order: Sequence[int] | None) -> Dataset[Any]:
    """The items that a loader reads: all images, resized when they are read, or those of `order`."""
    dataset: Dataset[Any]
    if isinstance(images, ResizedImages):
        dataset = ResizedDataset(images, torch.from_numpy(labels))
    else:
        dataset = TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
    return dataset if order is None else Subset(dataset, order)


class TorchResNet:
    """The article's PyTorch training on `cpu`, `mps` or `cuda`; eager, so without `materialize`."""

    name = "torch"
    title = "PyTorch"
    version = torch.__version__
    distribution = "torch"
    checkpoint_name = "model.pt"
    scripted_usage = None
    charged_to: Mapping[Phase, Phase] = MappingProxyType({})

    def __init__(self, device: str, seed: int, architecture: Architecture = resnet18) -> None:
        self.device, self.architecture = _choose(device), architecture
        eager = {Phase.FLUSH} if self.device == "cpu" else set()
        self.phases = BUILT_IN - {Phase.MATERIALIZE, Phase.COMPILED} - eager
        self.clocks = _clocks(self.device)
        seed_python(seed)
        torch.manual_seed(seed)
        self.model = build_network(architecture)
        self.model.to(self.device)
        self._criterion = nn.CrossEntropyLoss()
        self._optimizer = torch.optim.Adam(
            self.model.parameters(), lr=ADAM.lr, betas=ADAM.betas, weight_decay=ADAM.weight_decay
        )
        self.schedule = TORCH_SCHEDULE
        self._schedule = torch.optim.lr_scheduler.StepLR(
            self._optimizer, self.schedule.step_size, self.schedule.gamma
        )
        self.layer_timings = TorchLayerTimings(self.model, architecture, self._criterion, self.device, self.wait)
        self.parity = TorchParity(self.model, architecture, self._criterion, self._optimizer, self.device)

    @property
    def lr(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

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
        return DataLoader(dataset, batch_size, shuffle=shuffle, collate_fn=wrap_collate(default_collate))

    def train(self) -> None:
        self.model.train()

    def to_device(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        inputs, targets = batch
        return inputs.to(self.device), targets.to(self.device)

    def zero_grad(self) -> None:
        self._optimizer.zero_grad()

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.model(inputs)
        return logits, self._criterion(logits, targets)

    def materialize(self, loss: torch.Tensor) -> None:
        pass

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    def step(self) -> None:
        self._optimizer.step()

    def metrics(
        self, logits: torch.Tensor, loss: torch.Tensor, targets: torch.Tensor
    ) -> tuple[float, float, int, int]:
        images = targets.size(0)
        correct = (logits.argmax(dim=1) == targets).sum().item()
        return loss.item(), loss.item() * images, int(correct), images

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        self.model.eval()
        with torch.no_grad():
            yield

    def wait(self) -> None:
        _SYNCHRONIZE[self.device]()

    def end_epoch(self) -> None:
        self._schedule.step()

    def use_schedule(self, schedule: StepLR) -> None:
        self.schedule = schedule
        self._schedule.step_size, self._schedule.gamma = schedule.step_size, schedule.gamma

    def read_weights(self) -> Weights:
        return {name: parameter.detach().cpu().numpy().copy() for name, parameter in self._parameters()}

    def set_weights(self, weights: Weights) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters():
                parameter.copy_(torch.from_numpy(weights[name]))

    def _parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """(canonical name, parameter)"""
        for path, parameter in self.model.named_parameters():
            layer, _, kind = path.rpartition(".")
            yield f"{canonical_name(layer)}.{kind}", parameter

    def save(self, path: Path) -> None:
        torch.save(self.model.state_dict(), path)

    def describe(self) -> dict[str, Any]:
        cpu = torch.backends.cpu.get_cpu_capability()
        dataset = (TensorDataset if self.architecture.image_size == SHAPE[1] else ResizedDataset).__name__
        return {
            "build": torch.__config__.show().partition("\n")[2].replace("\n", ";"),
            "accelerator": _accelerator(self.device),
            "instruction_sets": _instruction_sets() if self.device == "cpu" else None,
            "flags": _flags(self.device),
            "threads": torch.get_num_threads(),
            "interop_threads": torch.get_num_interop_threads(),
            "kernels": f"oneDNN {torch._C._has_mkldnn}, {cpu}" if self.device == "cpu" else self.device,
            "dtype": "float32",
            "layout": "NCHW",
            "matmul_precision": torch.get_float32_matmul_precision(),
            "tf32": torch.backends.cudnn.allow_tf32 if self.device == "cuda" else False,
            "autocast": False,
            "initialisation": describe_initialisation(self.architecture),
            "data_order": "DataLoader(shuffle=True), torch generator",
            "loader": f"torch.utils.data.DataLoader, 0 workers, {dataset}, default_collate (torch.stack)",
            "schedule": str(self.schedule),
            "execution": "eager",
        }


_SYNCHRONIZE: dict[str, Callable[[], None]] = {
    "cpu": lambda: None,
    "cuda": torch.cuda.synchronize,
    "mps": torch.mps.synchronize,
}


def _clocks(device: str) -> dict[Phase, str]:
    clocks = {
        Phase.EPOCH_START: "model.train(), iter(DataLoader); the order is drawn in the first fetch",
        Phase.FETCH: "next(DataLoader): the batch's indices, then dataset[i] of each, a view",
        Phase.COLLATE: "default_collate: torch.stack of the images, torch.stack of the labels",
        Phase.TO_DEVICE: "images.to('cpu'), labels.to('cpu'): already there, nothing is copied",
        Phase.ZERO_GRAD: "Adam.zero_grad(): every parameter's grad becomes None",
        Phase.FORWARD: "model(images), CrossEntropyLoss()(logits, labels)",
        Phase.BACKWARD: "loss.backward()",
        Phase.STEP: "Adam.step()",
        Phase.METRICS: "argmax, ==, sum and item() of the right answers; loss.item() twice",
        Phase.LOGGING: LOGGING_CLOCK,
        Phase.EVALUATE: "per batch: loader, to(), model, loss, item(); eval mode under no_grad()",
        Phase.CHECKPOINT: "torch.save(model.state_dict()), then the file gets its name",
    }
    if device == "cpu":
        return clocks
    return clocks | {
        Phase.TO_DEVICE: f"images.to('{device}'), labels.to('{device}'): copies",
        Phase.FORWARD: "model(images), CrossEntropyLoss()(logits, labels): queued, not waited for",
        Phase.BACKWARD: "loss.backward(): queued, not waited for",
        Phase.STEP: "Adam.step(): queued, not waited for",
        Phase.METRICS: "argmax, ==, sum, then item() and loss.item() twice, which wait for the device",
        Phase.FLUSH: f"torch.{device}.synchronize()",
    }


VECTOR_SETS = ("avx", "amx", "neon", "asimd", "sve")


def _instruction_sets() -> str:
    """What the CPU offers to the kernels of ATen and oneDNN; a variable may lower it (`KERNEL_VARIABLES`)."""
    offered = torch.cpu.get_capabilities()
    names = sorted(name for name, value in offered.items() if value is True and name.startswith(VECTOR_SETS))
    return f"{torch.backends.cpu.get_cpu_capability()} chosen by ATen; offered: {', '.join(names) or 'unknown'}"


def _flags(device: str) -> dict[str, Any]:
    """The process-wide switches that choose or slow down code."""
    flags = {
        "oneDNN": torch.backends.mkldnn.enabled,
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "anomaly detection": torch.is_anomaly_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "matmul precision": torch.get_float32_matmul_precision(),
    }
    if device == "cuda":
        cudnn = torch.backends.cudnn
        flags |= {"cuDNN benchmark": cudnn.benchmark, "cuDNN deterministic": cudnn.deterministic}
    return flags


def _accelerator(device: str) -> str | None:
    if device == "cuda":
        return f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    return "Metal" if device == "mps" else None


def _choose(device: str) -> str:
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, is_available in available.items() if is_available)
    if not available.get(device, False):
        names = ", ".join(name for name, is_available in available.items() if is_available)
        raise UserError(f"torch has no device {device!r} on this machine; choose auto or one of: {names}")
    return device
