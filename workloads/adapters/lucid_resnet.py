"""Lucid: its network with the article's stem, its DataLoader over NumPy arrays, its loop body."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import BUILT_IN, Phase
from epoch_gap.workloads.adapters.lucid_import import DISTRIBUTION, prepare
from epoch_gap.workloads.adapters.numpy_loader import NumpyDataset, numpy_collate
from epoch_gap.workloads.architecture import Architecture, resnet18
from epoch_gap.workloads.framework import (
    LOGGING_CLOCK,
    Batch,
    Images,
    Labels,
    Tensor,
    Weights,
    WrapCollate,
    seed_python,
)
from epoch_gap.workloads.optimizer import ADAM, LUCID_SCHEDULE, StepLR

prepare()  # before the first import of Lucid: hence E402 below

import lucid  # noqa: E402
import lucid.data  # noqa: E402
import lucid.nn.functional as F  # noqa: E402
import lucid.optim.lr_scheduler  # noqa: E402
import mlx.core as mx  # noqa: E402
import numpy as np  # noqa: E402

from epoch_gap.workloads.adapters.lucid_networks import build_network, describe_initialisation  # noqa: E402
from epoch_gap.workloads.adapters.lucid_parity import LucidParity  # noqa: E402
from epoch_gap.workloads.adapters.lucid_spans import LucidLayerTimings, named_layers  # noqa: E402


class LucidResNet:
    """The article's Lucid training on `cpu` (NumPy) or `gpu` (MLX: Metal, or its CPU backend elsewhere)."""

    name = "lucid"
    title = "Lucid"
    version = version(DISTRIBUTION)
    distribution = DISTRIBUTION
    checkpoint_name = "model.lcd"
    scripted_usage = None
    charged_to: Mapping[Phase, Phase] = MappingProxyType({})

    def __init__(self, device: str, seed: int, architecture: Architecture = resnet18) -> None:
        self.device, self.architecture = _choose(device), architecture
        self.phases = BUILT_IN - {Phase.COMPILED} - ({Phase.FLUSH} if self.device == "cpu" else set())
        self.clocks = _clocks(self.device)
        seed_python(seed)
        lucid.random.seed(seed)
        self.model = build_network(architecture)
        self.model.to(self.device)
        self._optimizer = lucid.optim.Adam(
            self.model.parameters(), lr=ADAM.lr, betas=ADAM.betas, weight_decay=ADAM.weight_decay
        )
        self.schedule = LUCID_SCHEDULE
        self._schedule = lucid.optim.lr_scheduler.StepLR(
            self._optimizer, self.schedule.step_size, self.schedule.gamma
        )
        self.layer_timings = LucidLayerTimings(self.model, architecture)
        self.parity = LucidParity(self.model, architecture, self._optimizer, self.device)
        self._batch: tuple[Tensor, ...] = ()

    @property
    def lr(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    def parameter_count(self) -> int:
        return int(self.model.count_parameters())

    def loader(
        self,
        images: Images,
        labels: Labels,
        batch_size: int,
        shuffle: bool,
        wrap_collate: WrapCollate,
        order: Sequence[int] | None = None,
    ) -> Iterable[Batch]:
        dataset: Any = NumpyDataset(images, labels)
        if order is not None:
            dataset = lucid.data.Subset(dataset, order)
        loader: Iterable[Batch] = lucid.data.DataLoader(
            dataset, batch_size, shuffle=shuffle, collate_fn=wrap_collate(numpy_collate)
        )
        return loader

    def train(self) -> None:
        self.model.train()

    def to_device(self, batch: Batch) -> tuple[Tensor, Tensor]:
        images, labels = batch
        inputs = lucid.tensor(images, dtype=lucid.Float32, device=self.device)
        targets = lucid.tensor(labels, dtype=lucid.Int64, device=self.device)
        self._batch = (inputs, targets)
        return inputs, targets

    def zero_grad(self) -> None:
        self._optimizer.zero_grad()

    def forward(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.model(inputs)
        loss = F.cross_entropy(logits, targets)
        self._batch = (inputs, targets, logits, loss)
        return logits, loss

    def materialize(self, loss: Tensor) -> None:
        loss.eval()

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def step(self) -> None:
        self._optimizer.step()

    def metrics(self, logits: Tensor, loss: Tensor, targets: Tensor) -> tuple[float, float, int, int]:
        with lucid.no_grad():
            correct = int((lucid.argmax(logits, axis=1) == targets).sum().data)
        return float(loss.data), float(loss.data) * targets.size, correct, targets.size

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        self.model.eval()
        with lucid.no_grad():
            yield

    def wait(self) -> None:
        if self.device == "gpu":
            tensors = [*self._batch, *self.model.parameters(), *self.model.buffers()]
            state = [value for per_tensor in self._optimizer.state.values() for value in per_tensor.values()]
            values = [*(t.data for t in tensors), *(t.grad for t in tensors), *state]
            mx.eval([value for value in values if isinstance(value, mx.array)])
            mx.synchronize()

    def end_epoch(self) -> None:
        self._schedule.step()

    def use_schedule(self, schedule: StepLR) -> None:
        self.schedule = schedule
        self._schedule.step_size, self._schedule.gamma = schedule.step_size, schedule.gamma

    def read_weights(self) -> Weights:
        return {name: np.array(parameter.data) for name, parameter in self._parameters()}

    def set_weights(self, weights: Weights) -> None:
        copy = np.array if self.device == "cpu" else mx.array
        for name, parameter in self._parameters():
            parameter.data = copy(weights[name])

    def _parameters(self) -> Iterator[tuple[str, Any]]:
        """(canonical name, parameter)"""
        for name, module in named_layers(self.model, self.architecture):
            for kind, parameter in module._parameters.items():
                if parameter is not None:
                    yield f"{name}.{kind}", parameter

    def save(self, path: Path) -> None:
        lucid.save(self.model.state_dict(), path)

    def describe(self) -> dict[str, Any]:
        backend = "NumPy" if self.device == "cpu" else f"MLX {version('mlx')}, {mx.default_device()}"
        return {
            "kernels": backend,
            "conv_view_limit_mb": getattr(lucid, "CONV_VIEW_LIMIT_MB", None) if self.device == "cpu" else None,
            "dtype": "float32",
            "layout": "NCHW",
            "tf32": False,
            "autocast": False,
            "initialisation": describe_initialisation(self.architecture),
            "data_order": "lucid DataLoader(shuffle=True), Python's random",
            "loader": "lucid.data.DataLoader, NumpyDataset, np.stack",
            "schedule": str(self.schedule),
            "execution": "eager" if self.device == "cpu" else "lazy",
        }


def _clocks(device: str) -> dict[Phase, str]:
    clocks = {
        Phase.EPOCH_START: "model.train(), iter(DataLoader): random.shuffle of all indices",
        Phase.FETCH: "next(DataLoader): dataset[i] of the batch's indices, NumPy views",
        Phase.COLLATE: "np.stack of the images, np.stack of the labels",
        Phase.TO_DEVICE: "lucid.tensor(images, dtype=Float32), the labels too: wraps, copies nothing",
        Phase.ZERO_GRAD: "Adam.zero_grad(): every parameter's grad becomes None",
        Phase.FORWARD: "model(images), F.cross_entropy(logits, labels): NumPy computes at once",
        Phase.MATERIALIZE: "loss.eval(): does nothing, the loss is a NumPy array already",
        Phase.BACKWARD: "loss.backward(): each operation's gradient, NumPy computes at once",
        Phase.STEP: "Adam.step(): one parameter after the other, in NumPy",
        Phase.METRICS: "argmax, ==, sum, int() of the right answers; float(loss.data) twice",
        Phase.LOGGING: LOGGING_CLOCK,
        Phase.EVALUATE: "per batch: loader, lucid.tensor, model, loss, float(); under no_grad()",
        Phase.CHECKPOINT: "lucid.save(model.state_dict()), then the file gets its name",
    }
    if device == "cpu":
        return clocks
    return clocks | {
        Phase.TO_DEVICE: "lucid.tensor(images, dtype=Float32, device='gpu'), the labels too: copies",
        Phase.FORWARD: "model(images), F.cross_entropy(logits, labels): builds MLX's graph",
        Phase.MATERIALIZE: "loss.eval(): mx.eval(loss.data), which computes what forward built",
        Phase.BACKWARD: "loss.backward(): builds the graph of the gradients",
        Phase.STEP: "Adam.step(), whose post_step_eval computes parameters, gradients and state",
        Phase.METRICS: "argmax, ==, sum, int(), which waits; float(loss.data) twice",
        Phase.FLUSH: "mx.eval(batch, parameters, gradients, buffers, state), mx.synchronize()",
    }


def _choose(device: str) -> str:
    if device == "auto":
        return "gpu" if mx.metal.is_available() else "cpu"
    if device not in ("cpu", "gpu"):
        raise UserError(f"lucid has no device {device!r}; choose auto, cpu or gpu")
    return device
