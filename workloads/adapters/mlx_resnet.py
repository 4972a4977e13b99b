"""Native MLX: the article's network built from mlx.nn, to separate the time of Lucid from that of MLX."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.optimizers import Adam
from mlx.utils import tree_flatten, tree_map

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import BUILT_IN, Phase
from epoch_gap.workloads import resnet18
from epoch_gap.workloads.adapters.mlx_parity import MlxParity
from epoch_gap.workloads.adapters.mlx_spans import LOSS, MlxLayerTimings, RunLayer, run_unwatched
from epoch_gap.workloads.adapters.numpy_loader import NumpyDataset, ShuffledBatches, numpy_collate
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


class _Block(nn.Module):  # type: ignore[misc]
    """Two convolutions with batch normalisation, and the shortcut."""

    def __init__(self, name: str, convs: dict[str, resnet18.Conv]) -> None:
        super().__init__()
        self.name = name
        self.conv1, self.bn1 = _conv(convs["conv1"]), nn.BatchNorm(convs["conv1"].out)
        self.conv2, self.bn2 = _conv(convs["conv2"]), nn.BatchNorm(convs["conv2"].out)
        shortcut = convs.get("downsample")
        self.downsample = [_conv(shortcut), nn.BatchNorm(shortcut.out)] if shortcut else []

    def __call__(self, x: mx.array, run: RunLayer) -> mx.array:
        y = run(f"{self.name}.bn1", self.bn1, run(f"{self.name}.conv1", self.conv1, x))
        y = run(f"{self.name}.relu1", nn.relu, y)
        y = run(f"{self.name}.bn2", self.bn2, run(f"{self.name}.conv2", self.conv2, y))
        for part, layer in zip(("conv", "bn"), self.downsample, strict=False):
            x = run(f"{self.name}.downsample.{part}", layer, x)
        return run(f"{self.name}.relu2", nn.relu, run(f"{self.name}.add", mx.add, y, x))


class _ResNet(nn.Module):  # type: ignore[misc]
    """The article's ResNet-18; images (B, 32, 32, 3), logits (B, 10)."""

    def __init__(self) -> None:
        super().__init__()
        stem = next(resnet18.convolutions())
        self.conv1, self.bn1 = _conv(stem), nn.BatchNorm(stem.out)
        self.blocks = [_Block(name, convs) for name, convs in resnet18.blocks().items()]
        self.fc = nn.Linear(resnet18.STAGES[-1][0], resnet18.CLASSES)
        self.run_layer: RunLayer = run_unwatched

    def __call__(self, x: mx.array) -> mx.array:
        run = self.run_layer
        x = run("stem.relu", nn.relu, run("stem.bn", self.bn1, run("stem.conv", self.conv1, x)))
        for block in self.blocks:
            x = block(x, run)
        return run("fc", self.fc, run("pool", _pool, x))


def _pool(x: mx.array) -> mx.array:
    return x.mean(axis=(1, 2))


def _conv(conv: resnet18.Conv) -> nn.Conv2d:
    return nn.Conv2d(conv.inputs, conv.out, conv.kernel, conv.stride, padding=conv.kernel // 2, bias=False)


class MlxResNet:
    """The article's training on native MLX, on Metal's GPU (`gpu`) or the CPU.

    MLX traces loss and gradients in one call, so `forward` traces both. Each is computed at the first wait for it.
    """

    name = "mlx"
    title = "MLX"
    version = version("mlx")
    distribution = "mlx"
    checkpoint_name = "model.safetensors"
    scripted_usage = None

    def __init__(self, device: str, seed: int, compiled: bool = False) -> None:
        unsplit = {Phase.ZERO_GRAD, Phase.FORWARD, Phase.MATERIALIZE, Phase.BACKWARD, Phase.STEP}
        self.phases = BUILT_IN - (unsplit if compiled else {Phase.COMPILED})
        self.charged_to = dict.fromkeys(unsplit, Phase.COMPILED) if compiled else {}
        self.clocks = {phase: text for phase, text in _CLOCKS.items() if phase in self.phases}
        self.device = _choose(device)
        mx.set_default_device(mx.gpu if self.device == "gpu" else mx.cpu)
        seed_python(seed)
        mx.random.seed(seed)
        self.model = _ResNet()
        adam = resnet18.ADAM
        self._optimizer = Adam(adam.lr, list(adam.betas), bias_correction=True)
        self._optimizer.init(self.model.trainable_parameters())
        mx.eval(self.model.parameters(), self._optimizer.state)
        self._loss_and_gradients = nn.value_and_grad(self.model, self._loss)
        self._compiled = self._compile() if compiled else None
        self.layer_timings = None if compiled else MlxLayerTimings(self.model)
        self.parity = None if compiled else self._parity_access()
        self.schedule = resnet18.TORCH_SCHEDULE
        self._epoch = 0
        self._batch: tuple[mx.array, ...] = ()
        self._gradients: Any = {}
        self._requested: Any = {}

    @property
    def lr(self) -> float:
        return self.schedule.lr(self._epoch)

    def parameter_count(self) -> int:
        return sum(array.size for _, array in tree_flatten(self.model.trainable_parameters()))

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
        return ShuffledBatches(dataset, batch_size, shuffle, wrap_collate(numpy_collate), order)

    def train(self) -> None:
        self.model.train()

    def to_device(self, batch: Batch) -> tuple[Tensor, Tensor]:
        images, labels = batch
        self._batch = (mx.array(images.transpose(0, 2, 3, 1)), mx.array(labels))
        return self._batch[0], self._batch[1]

    def zero_grad(self) -> None:
        self._gradients = self._requested = {}

    def forward(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        if self.model.training and self._compiled is not None:
            loss, logits = self._compiled(inputs, targets)
        elif self.model.training:
            (loss, logits), self._gradients = self._loss_and_gradients(inputs, targets)
        else:
            loss, logits = self._loss(inputs, targets)
        self._batch = (inputs, targets, logits, loss)
        return logits, loss

    def materialize(self, loss: Tensor) -> None:
        if self._compiled is not None:
            mx.eval(loss, self.model.state, self._optimizer.state)
        else:
            mx.eval(loss)

    def backward(self, loss: Tensor) -> None:
        self._requested = self._gradients

    def step(self) -> None:
        if self._compiled is None:
            self._update(self._requested)
            mx.eval(self.model.trainable_parameters(), self._optimizer.state)

    def _update(self, gradients: Any) -> None:
        self._optimizer.update(self.model, _with_decay(gradients, self.model.trainable_parameters()))

    def _parity_access(self) -> MlxParity:
        return MlxParity(self.model, self._optimizer, _cross_entropy, _with_decay, lambda: self._gradients)

    def _compile(self) -> Callable[[mx.array, mx.array], tuple[mx.array, mx.array]]:
        """Loss, gradients and update as one compiled function of (inputs, targets)."""
        state = [self.model.state, self._optimizer.state]

        def training_step(inputs: mx.array, targets: mx.array) -> tuple[mx.array, mx.array]:
            (loss, logits), gradients = self._loss_and_gradients(inputs, targets)
            self._update(gradients)
            return loss, logits

        function: Callable[[mx.array, mx.array], tuple[mx.array, mx.array]] = mx.compile(
            training_step, inputs=state, outputs=state
        )
        return function

    def metrics(self, logits: Tensor, loss: Tensor, targets: Tensor) -> tuple[float, float, int, int]:
        images = int(targets.size)
        correct = int((logits.argmax(axis=1) == targets).sum().item())
        return loss.item(), loss.item() * images, correct, images

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        self.model.eval()
        yield

    def wait(self) -> None:
        mx.eval(self._batch, self._requested, self.model.parameters(), self._optimizer.state)
        mx.synchronize()

    def end_epoch(self) -> None:
        self._epoch += 1
        self._optimizer.learning_rate = self.lr

    def use_schedule(self, schedule: resnet18.StepLR) -> None:
        self.schedule = schedule

    def read_weights(self) -> Weights:
        weights = {}
        for layer, module in self._layers():
            for kind, array in tree_flatten(module.trainable_parameters()):
                weights[f"{layer}.{kind}"] = np.array(array.transpose(0, 3, 1, 2) if array.ndim == 4 else array)
        return weights

    def set_weights(self, weights: Weights) -> None:
        for layer, module in self._layers():
            kinds = [kind for kind, _ in tree_flatten(module.trainable_parameters())]
            arrays = {kind: weights[f"{layer}.{kind}"] for kind in kinds}
            module.update({k: mx.array(a.transpose(0, 2, 3, 1) if a.ndim == 4 else a) for k, a in arrays.items()})
        mx.eval(self.model.parameters())

    def _layers(self) -> Iterator[tuple[str, Any]]:
        """(canonical name, layer) of each layer that has parameters."""
        yield from (("stem.conv", self.model.conv1), ("stem.bn", self.model.bn1))
        for block in self.model.blocks:
            yield from ((f"{block.name}.{name}", getattr(block, name)) for name in ("conv1", "bn1", "conv2", "bn2"))
            yield from zip(
                (f"{block.name}.downsample.{part}" for part in ("conv", "bn")), block.downsample, strict=False
            )
        yield "fc", self.model.fc

    def save(self, path: Path) -> None:
        self.model.save_weights(str(path))

    def describe(self) -> dict[str, Any]:
        return {
            "kernels": f"MLX {self.version}, {mx.default_device()}",
            "dtype": "float32",
            "layout": "NHWC",
            "tf32": False,
            "autocast": False,
            "initialisation": "mlx.nn's default: uniform convolutions and linear",
            "data_order": "NumPy's permutation",
            "loader": "NumpyDataset, np.stack",
            "schedule": str(self.schedule),
            "execution": "lazy" if self._compiled is None else "lazy, the training step compiled",
            "compiles_in_first_step": self._compiled is not None,
        }

    def _loss(self, inputs: mx.array, targets: mx.array) -> tuple[mx.array, mx.array]:
        logits = self.model(inputs)
        return self.model.run_layer(LOSS, _cross_entropy, logits, targets), logits


_CLOCKS = {
    Phase.EPOCH_START: "model.train(), iter(loader): np.random.permutation of all indices",
    Phase.FETCH: "dataset[i] of the batch's indices, NumPy views",
    Phase.COLLATE: "np.stack of the images, np.stack of the labels",
    Phase.TO_DEVICE: "mx.array(images as NHWC), mx.array(labels): copies",
    Phase.ZERO_GRAD: "forgets the last gradients: an assignment",
    Phase.FORWARD: "nn.value_and_grad(model, loss)(images, labels): traces loss and gradients",
    Phase.MATERIALIZE: "mx.eval(loss): computes the loss, and what it needs of forward",
    Phase.BACKWARD: "takes the gradients that forward traced: an assignment, computes nothing",
    Phase.STEP: "Adam.update, mx.eval(parameters, state): computes the gradients and the update",
    Phase.COMPILED: "the function of mx.compile, then mx.eval(loss, model.state, optimizer.state)",
    Phase.METRICS: "argmax, ==, sum and item() of the right answers; loss.item() twice",
    Phase.LOGGING: LOGGING_CLOCK,
    Phase.FLUSH: "mx.eval(batch, gradients, parameters, state), mx.synchronize()",
    Phase.EVALUATE: "per batch: loader, mx.array, model, loss, item(); in eval mode",
    Phase.CHECKPOINT: "model.save_weights(), then the file gets its name",
}


def _with_decay(gradients: Any, parameters: Any) -> Any:
    """The gradients plus the weight decay times the parameters, as in the Adam of PyTorch and Lucid."""
    return tree_map(lambda g, p: g + resnet18.ADAM.weight_decay * p, gradients, parameters)


def _cross_entropy(logits: mx.array, targets: mx.array) -> mx.array:
    loss: mx.array = nn.losses.cross_entropy(logits, targets, reduction="mean")
    return loss


def _choose(device: str) -> str:
    gpu = mx.metal.is_available()
    if device == "auto":
        return "gpu" if gpu else "cpu"
    if device not in ("cpu", "gpu") or (device == "gpu" and not gpu):
        raise UserError(f"mlx has no device {device!r} on this machine; choose auto or one of: cpu{', gpu' * gpu}")
    return device
