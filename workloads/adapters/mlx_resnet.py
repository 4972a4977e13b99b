"""Native MLX: the same network built from mlx.nn, to separate the time of Lucid from that of MLX."""

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
from epoch_gap.workloads.adapters.mlx_network import Network
from epoch_gap.workloads.adapters.mlx_parity import MlxParity
from epoch_gap.workloads.adapters.mlx_spans import LOSS, MlxLayerTimings
from epoch_gap.workloads.adapters.numpy_loader import NumpyDataset, ShuffledBatches, numpy_collate
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
from epoch_gap.workloads.optimizer import ADAM, TORCH_SCHEDULE, StepLR


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

    def __init__(self, device: str, seed: int, compiled: bool = False, architecture: Architecture = resnet18) -> None:
        self.architecture = architecture
        unsplit = {Phase.ZERO_GRAD, Phase.FORWARD, Phase.MATERIALIZE, Phase.BACKWARD, Phase.STEP}
        self.phases = BUILT_IN - (unsplit if compiled else {Phase.COMPILED})
        self.charged_to = dict.fromkeys(unsplit, Phase.COMPILED) if compiled else {}
        self.clocks = {phase: text for phase, text in _CLOCKS.items() if phase in self.phases}
        self.device = _choose(device)
        mx.set_default_device(mx.gpu if self.device == "gpu" else mx.cpu)
        seed_python(seed)
        mx.random.seed(seed)
        self.model = Network(architecture)
        self._optimizer = Adam(ADAM.lr, list(ADAM.betas), bias_correction=True)
        self._optimizer.init(self.model.trainable_parameters())
        mx.eval(self.model.parameters(), self._optimizer.state)
        self._loss_and_gradients = nn.value_and_grad(self.model, self._loss)
        self._compiled = self._compile() if compiled else None
        self.layer_timings = None if compiled else MlxLayerTimings(self.model)
        self.parity = None if compiled else self._parity_access()
        self.schedule = TORCH_SCHEDULE
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

    def use_schedule(self, schedule: StepLR) -> None:
        self.schedule = schedule

    def read_weights(self) -> Weights:
        weights = {}
        for layer, module in self.model.named_layers():
            for kind, array in tree_flatten(module.trainable_parameters()):
                weights[f"{layer}.{kind}"] = np.array(array.transpose(0, 3, 1, 2) if array.ndim == 4 else array)
        return weights

    def set_weights(self, weights: Weights) -> None:
        for layer, module in self.model.named_layers():
            kinds = [kind for kind, _ in tree_flatten(module.trainable_parameters())]
            arrays = {kind: weights[f"{layer}.{kind}"] for kind in kinds}
            module.update({k: mx.array(a.transpose(0, 2, 3, 1) if a.ndim == 4 else a) for k, a in arrays.items()})
        mx.eval(self.model.parameters())

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
    return tree_map(lambda g, p: g + ADAM.weight_decay * p, gradients, parameters)


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
