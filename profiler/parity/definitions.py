"""Definitions that frameworks may choose differently, measured by small probes rather than read from sources.

A probe feeds known arrays to a layer, an optimizer or a loss, and the definition follows from the result.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.parity.tensors import Array, Tensors

PROBED = 16
"""values per channel in the probe of a batch normalisation: 4 images of 2 x 2"""
SMALL_VARIANCE = 1e-5
"""of every second channel in that probe: comparable to the usual epsilon"""
PROBE_MEAN = 2.0
"""of the other channels, whose variance is 1"""


class BatchNormResult(NamedTuple):
    """The result of one batch normalisation in training mode, of running statistics that started at 0 and 1."""

    output: Array
    running_mean: Array
    running_var: Array


@dataclass(frozen=True)
class Definition:
    """One measured property of a framework's training."""

    name: str
    """momentum, epsilon, ..."""
    place: str
    """the layer, or `OPTIMIZER`, `LOSS`, or the epoch"""
    value: float
    meaning: str = ""
    """the value in words, for a property that is a choice between a few"""


def batch_norm_inputs(channels: int) -> Array:
    """Inputs (4, C, 2, 2): even channels with mean 2 and variance 1, odd ones with mean 0 and variance 1e-5."""
    pattern = np.linspace(-1, 1, PROBED)
    pattern /= pattern.std()
    scales = np.where(np.arange(channels) % 2 == 0, 1.0, np.sqrt(SMALL_VARIANCE))
    means = np.where(np.arange(channels) % 2 == 0, PROBE_MEAN, 0.0)
    values = means[:, None] + scales[:, None] * pattern
    return np.ascontiguousarray(values.reshape(channels, 4, 2, 2).transpose(1, 0, 2, 3)).astype(np.float32)


def batch_norm_definitions(layer: str, result: BatchNormResult, scale: Array, shift: Array) -> list[Definition]:
    """Momentum, epsilon and the two variances of a batch normalisation of at least two channels.

    `scale` and `shift` are its weights. With n values per channel of mean m and (biased) variance v, the running mean
    is momentum * m, the running variance 1 - momentum + momentum * v * factor, and the variance of the output
    v / (v * divisor + epsilon). A factor of n / (n - 1) is the unbiased variance.
    """
    momentum = float(np.median(result.running_mean[::2])) / PROBE_MEAN
    factor = (float(np.median(result.running_var[::2])) - (1 - momentum)) / momentum if momentum else float("nan")
    with np.errstate(all="ignore"):
        normalised = (result.output - shift[:, None, None]) / scale[:, None, None]
        variance = normalised.astype(np.float64).var(axis=(0, 2, 3))
        large, small = 1 / np.median(variance[::2]), SMALL_VARIANCE / np.median(variance[1::2])
    epsilon = (small - SMALL_VARIANCE * large) / (1 - SMALL_VARIANCE)
    return [
        Definition("momentum", layer, momentum),
        Definition("variance of the running statistics", layer, factor, _name_variance(factor)),
        Definition("variance that normalises", layer, large - epsilon, _name_variance(large - epsilon)),
        Definition("epsilon", layer, epsilon),
    ]


def _name_variance(factor: float) -> str:
    unbiased = PROBED / (PROBED - 1)
    tolerance = (unbiased - 1) / 10
    if abs(factor - 1) < tolerance:
        return "biased (divided by n)"
    return "unbiased (divided by n - 1)" if abs(factor - unbiased) < tolerance else "another variance"


OPTIMIZER, LOSS = "optimizer", "loss"
"""places of definitions that belong to no layer"""
GRADIENTS: Array = 10.0 ** -np.arange(0.0, 13.0, 0.25)
"""1 down to 1e-12: those near Adam's epsilon tell it"""
SEQUENCE: Sequence[float] = (1.0, 0.0, 0.5, -2.0)
"""gradients of one parameter, which tell the betas"""
DECAYED: Array = np.array([2.0])
"""parameters whose gradient is 0"""

Adam = Callable[[Array, Sequence[Array], bool], list[Array]]
"""(parameter, gradients, with decay) -> the parameter after each step"""


def adam_definitions(adam: Adam, learning_rate: float) -> list[Definition]:
    """Epsilon and its place, the bias correction, the betas, and the place of the weight decay.

    The first bias-corrected update of a gradient g is lr * g / (|g| + epsilon). If epsilon is added before the
    correction of the second moment, it is effectively epsilon / sqrt(1 - beta2 ** t) in step t. A parameter p without
    a gradient moves by about lr if the decay is added to the gradient, and by lr * decay * p if it is decoupled.
    """
    start = np.zeros_like(GRADIENTS)
    first, second = adam(start, [GRADIENTS, GRADIENTS], False)
    first, second = first.astype(np.float64), second.astype(np.float64)
    updates = (-first / learning_rate, (first - second) / learning_rate)
    full = updates[0][0]
    corrected = abs(full - 1) < 0.01
    epsilons = [_effective_epsilon(update / (update[0] or 1.0)) for update in updates]
    after = adam(np.zeros(1), [np.array([g]) for g in SEQUENCE], False)
    moves = np.diff([0.0, *(float(values[0]) for values in after)]) / learning_rate
    decay = float((DECAYED - adam(DECAYED, [np.zeros(1)], True)[0])[0]) / learning_rate
    return [
        Definition("epsilon", OPTIMIZER, epsilons[0]),
        Definition("epsilon in the second step", OPTIMIZER, epsilons[1]),
        Definition("bias correction", OPTIMIZER, full, "corrected" if corrected else "not corrected"),
        *(Definition(f"update {n} of a known sequence", OPTIMIZER, move) for n, move in enumerate(moves, start=1)),
        Definition("weight decay", OPTIMIZER, decay, _name_decay(decay)),
    ]


def _effective_epsilon(share: NDArray[np.float64]) -> float:
    """Epsilon from updates divided by that of a large gradient: where half of it is left, g equals epsilon."""
    half = int(np.argmin(np.abs(share - 0.5)))
    return float(GRADIENTS[half] * (1 / share[half] - 1)) if share[half] else float("inf")


def _name_decay(update: float) -> str:
    """By the update of a parameter of 2 without a gradient, divided by the learning rate."""
    if not np.isfinite(update) or update < 1e-5:
        return "none"
    return "added to the gradient (L2)" if update > 0.5 else "decoupled from the gradient"


LOGITS: Array = np.sin(np.arange(40.0)).reshape(4, 10) * 3
TARGETS: NDArray[np.int64] = np.array([3, 0, 9, 5])


def cross_entropy_definition(loss: float) -> Definition:
    """How the loss of `LOGITS` and `TARGETS` combines the images: it is divided by that of the mean."""
    log_sums = np.log(np.exp(LOGITS).sum(axis=1))
    images = log_sums - LOGITS[np.arange(len(TARGETS)), TARGETS]
    ratio = loss / float(images.mean())
    names = {1.0: "mean over the images", float(len(TARGETS)): "sum over the images"}
    meaning = next((name for value, name in names.items() if abs(ratio - value) < 1e-3), "another loss")
    return Definition("cross-entropy", LOSS, ratio, meaning)


ENOUGH = 500
"""values from which the kurtosis tells two distributions apart: its standard error is sqrt(24 / values)"""


def initial_definitions(weights: Tensors) -> list[Definition]:
    """The spread and the distribution of every initial weight: its standard deviation times sqrt(fan-in).

    Fan-in is the number of values per output. The distribution is named by the kurtosis, 3 for a normal one and 1.8
    for a uniform one, from `ENOUGH` values on.
    """
    return [_initial_definition(name, values.astype(np.float64)) for name, values in weights.items()]


def _initial_definition(name: str, values: NDArray[np.float64]) -> Definition:
    spread = float(values.std())
    if spread == 0:
        return Definition("initial value", name, float(values.flat[0]), "constant")
    kurtosis = float((((values - values.mean()) / spread) ** 4).mean())
    fan_in = float(values[0].size)
    distribution = "normal" if kurtosis > 2.4 else "uniform"
    return Definition("initial spread", name, spread * fan_in**0.5, distribution if values.size >= ENOUGH else "")


def schedule_definitions(rates: Sequence[float]) -> list[Definition]:
    """The learning rate of each epoch."""
    return [Definition("learning rate", f"epoch {n}", rate) for n, rate in enumerate(rates, start=1)]


@dataclass(frozen=True)
class DefinitionDifference:
    """A property in which two frameworks differ, with the places in which it does so in the same way."""

    name: str
    places: tuple[str, ...]
    reference: float
    reference_meaning: str
    other: float
    other_meaning: str

    @property
    def size(self) -> float:
        """The relative difference of the two values."""
        return abs(self.other - self.reference) / (abs(self.reference) or 1.0)


PRECISION: Mapping[str, float] = {"epsilon": 0.1, "epsilon in the second step": 0.1}
"""Relative differences below which a probe cannot tell two values apart; otherwise `DEFAULT_PRECISION`."""
DEFAULT_PRECISION = 1e-3
SPREAD_DEVIATIONS = 5.0
"""standard errors by which the spreads of two samples of initial weights must differ"""


def definition_differences(
    reference: Sequence[Definition], other: Sequence[Definition], weights: Tensors
) -> list[DefinitionDifference]:
    """The properties that differ, joined where both values are the same to two digits.

    `weights` tell the sizes of the samples of initial values.
    """
    found: dict[tuple[object, ...], list[tuple[Definition, Definition]]] = {}
    others = {(d.name, d.place): d for d in other}
    for ours in reference:
        theirs = others.get((ours.name, ours.place)) or _same_place(ours, other)
        if theirs is not None and _differ(ours, theirs, weights):
            values = (f"{d.value:.1e}" for d in (ours, theirs))
            key = (ours.name, theirs.name, ours.meaning, theirs.meaning, *values)
            found.setdefault(key, []).append((ours, theirs))
    return [_joined(pairs) for pairs in found.values()]


def _same_place(ours: Definition, other: Sequence[Definition]) -> Definition | None:
    """A constant initial value and a spread are properties of the same weight."""
    is_initial = ours.name.startswith("initial")
    return next((d for d in other if is_initial and d.place == ours.place and d.name.startswith("initial")), None)


def _joined(pairs: Sequence[tuple[Definition, Definition]]) -> DefinitionDifference:
    ours, theirs = pairs[0]
    return DefinitionDifference(
        ours.name,
        tuple(ours.place for ours, _ in pairs),
        float(np.mean([ours.value for ours, _ in pairs])),
        ours.meaning,
        float(np.mean([theirs.value for _, theirs in pairs])),
        theirs.meaning,
    )


def _differ(a: Definition, b: Definition, weights: Tensors) -> bool:
    if a.meaning != b.meaning or a.name != b.name:
        return True
    precision = PRECISION.get(a.name, DEFAULT_PRECISION)
    if a.name == "initial spread":
        precision = SPREAD_DEVIATIONS / weights[a.place].size ** 0.5
    if np.isnan(a.value) or np.isnan(b.value):
        return bool(np.isnan(a.value) != np.isnan(b.value))
    return abs(a.value - b.value) > precision * max(abs(a.value), abs(b.value))
