"""Two frameworks in lockstep, from the same weights on the same batches, beside a reference with another rounding."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.parity import definitions
from epoch_gap.profiler.parity.definitions import Definition
from epoch_gap.profiler.parity.tensors import (
    Array,
    Quantity,
    StepTensors,
    Tensors,
    Traces,
    Transposition,
    add_differences,
    check_same_layers,
    deviations,
    relative_difference,
    same_shape_axes,
    step_differences,
)
from epoch_gap.workloads.cifar10.load import Cifar10
from epoch_gap.workloads.framework import Batch, Framework, ParityAccess
from epoch_gap.workloads.renumbering import Renumbering

EPOCHS = 20
"""epochs whose learning rates are compared"""


def parity_access(framework: Framework) -> ParityAccess:
    """The framework's access. Raises UserError if it has none."""
    if framework.parity is None:
        raise UserError(
            f"the training of {framework.title} cannot be compared: its adapter does not support it; "
            "choose other --frameworks"
        )
    return framework.parity


@dataclass(frozen=True)
class Batches:
    """The same batches for every framework: `steps` batches of `size` images, drawn from `seed`."""

    data: Cifar10
    size: int
    steps: int
    seed: int

    def order(self, is_reversed: bool) -> NDArray[np.intp]:
        """The indices of the images; reversed within each batch, if wanted, which changes sums by rounding only."""
        indices = np.random.default_rng(self.seed).permutation(len(self.data.y_train))[: self.size * self.steps]
        batches = indices.reshape(self.steps, self.size)
        return (batches[:, ::-1] if is_reversed else batches).reshape(-1)

    def load(self, framework: Framework, is_reversed: bool = False) -> Iterator[Batch]:
        """The batches, through the framework's own loader."""
        data, order = self.data, self.order(is_reversed).tolist()
        return iter(framework.loader(data.x_train, data.y_train, self.size, False, lambda collate: collate, order))


def read_definitions(framework: Framework) -> list[Definition]:
    """All definitions that probes measure, of a framework that has not trained yet."""
    access = parity_access(framework)
    weights = framework.read_weights()
    found = definitions.initial_definitions(weights)
    for name, mean in access.statistics().items():
        layer, _, statistic = name.rpartition(".")
        if statistic == "running_mean":
            result = access.batch_norm(layer, definitions.batch_norm_inputs(len(mean)))
            scale, shift = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
            found += definitions.batch_norm_definitions(layer, result, scale, shift)
    found += definitions.adam_definitions(access.adam, framework.lr)
    loss = access.cross_entropy(definitions.LOGITS, definitions.TARGETS)
    return [*found, definitions.cross_entropy_definition(loss)]


def read_schedule(framework: Framework) -> list[Definition]:
    """The learning rates of `EPOCHS` epochs. It ends as many epochs, so the framework cannot be used afterwards."""
    rates = []
    for _ in range(EPOCHS):
        rates.append(framework.lr)
        framework.end_epoch()
    return definitions.schedule_definitions(rates)


def take_step(framework: Framework, batch: Batch, is_reversed: bool = False, is_watched: bool = True) -> StepTensors:
    """One training step, with copies of everything that it computes; outputs in the order of the data.

    Without `is_watched`, only the loss and the updated weights are read, which needs no `ParityAccess`.
    """
    if not is_watched:
        loss = take_plain_step(framework, batch)
        return StepTensors(loss, {Quantity.WEIGHT: framework.read_weights()})
    access = parity_access(framework)
    framework.train()
    inputs, targets = framework.to_device(batch)
    framework.zero_grad()
    with access.outputs() as outputs:
        logits, loss = framework.forward(inputs, targets)
    framework.materialize(loss)
    framework.backward(loss)
    gradients = access.gradients()
    framework.step()
    value, *_ = framework.metrics(logits, loss, targets)
    tensors: dict[Quantity, Tensors] = {
        Quantity.OUTPUT: {name: array[::-1] for name, array in outputs.items()} if is_reversed else outputs,
        Quantity.STATISTICS: access.statistics(),
        Quantity.GRADIENT: gradients,
        Quantity.WEIGHT: framework.read_weights(),
    }
    return StepTensors(value, tensors)


def take_losses(framework: Framework, batches: Batches) -> list[float]:
    """The losses of the same training without a comparison, for the rounding of another number of threads."""
    return [take_plain_step(framework, batch) for batch in batches.load(framework)]


def take_plain_step(framework: Framework, batch: Batch) -> float:
    """One training step; returns its loss."""
    framework.train()
    inputs, targets = framework.to_device(batch)
    framework.zero_grad()
    logits, loss = framework.forward(inputs, targets)
    framework.materialize(loss)
    framework.backward(loss)
    framework.step()
    return framework.metrics(logits, loss, targets)[0]


@dataclass
class Lockstep:
    """What `train_in_lockstep` has found; lists have one entry per step."""

    traces: Traces = field(default_factory=dict)
    reference: list[float] = field(default_factory=list)
    """losses"""
    other: list[float] = field(default_factory=list)
    rounded: list[list[float]] = field(default_factory=list)
    """the losses of each reference in another order of summation"""
    transposed: Transposition | None = None


def train_in_lockstep(
    reference: Framework,
    other: Framework,
    rounded: Sequence[Framework],
    batches: Batches,
    tolerance: float,
    show: Callable[[Lockstep], None],
    is_watched: bool = True,
) -> Lockstep:
    """Train all from the weights of `reference`, step by step, and compare what every layer computes.

    `rounded` are more instances of the reference, at least one, that sum in other orders: their channels are
    renumbered, and the images of each batch reversed. `show` is called after every step; `is_watched` is that of
    `take_step`. Raises UserError if the networks have different layers.
    """
    initial = reference.read_weights()
    _refuse_other_layers(other.read_weights(), initial, other, reference)
    other.set_weights(initial)
    renumberings = [Renumbering.draw(reference.architecture, seed) for seed in range(len(rounded))]
    for framework, renumbering in zip(rounded, renumberings, strict=True):
        framework.set_weights(renumbering.renumber(initial))
    ours, theirs, again = batches.load(reference), batches.load(other), [batches.load(f, True) for f in rounded]
    found = Lockstep(rounded=[[] for _ in rounded])
    suspect: _Suspect | None = None
    for number in range(1, batches.steps + 1):
        expected = take_step(reference, next(ours), is_watched=is_watched)
        step = take_step(other, next(theirs), is_watched=is_watched)
        if number == 1 and is_watched:
            _refuse_other_layers(step.tensors[Quantity.OUTPUT], expected.tensors[Quantity.OUTPUT], other, reference)
        differences, roundings = step_differences(step, expected), []
        found.reference.append(expected.loss)
        found.other.append(step.loss)
        for framework, renumbering, loader, losses in zip(rounded, renumberings, again, found.rounded, strict=True):
            step = renumbering.undo(take_step(framework, next(loader), True, is_watched))
            roundings.append(step_differences(step, expected))
            losses.append(step.loss)
        add_differences(found.traces, differences, roundings)
        if number == 1:
            suspect = _suspect(found.traces, tolerance, expected)
        show(found)
    if suspect is not None:
        found.transposed = _find_transposition(other, batches, initial, suspect, tolerance)
    return found


def _refuse_other_layers(theirs: Tensors, ours: Tensors, other: Framework, reference: Framework) -> None:
    if problem := check_same_layers(theirs, ours):
        raise UserError(f"{reference.title} and {other.title} have different layers: {problem}")


@dataclass(frozen=True)
class _Suspect:
    """The first layer whose output differs in the first step, with the output that it should have."""

    layer: str
    output: Array


def _suspect(traces: Traces, tolerance: float, reference: StepTensors) -> _Suspect | None:
    """The first deviation of the first step, if it is the output of a layer with a kernel."""
    first = next(iter(deviations(traces, tolerance)), None)
    if first is None or first.quantity is not Quantity.OUTPUT:
        return None
    return _Suspect(first.layer, reference.tensors[Quantity.OUTPUT][first.layer])


def _find_transposition(
    other: Framework, batches: Batches, initial: Tensors, suspect: _Suspect, tolerance: float
) -> Transposition | None:
    """The order of axes in which the other framework reads the suspect's weights, found by trying each.

    The layer gets transposed weights and runs the first batch again; the right order makes its output agree.
    """
    access, name = parity_access(other), f"{suspect.layer}.weight"
    for axes in same_shape_axes(initial[name].shape) if name in initial else ():
        other.set_weights({**initial, name: initial[name].transpose(axes)})
        inputs, targets = other.to_device(next(batches.load(other)))
        with access.outputs() as outputs:
            other.forward(inputs, targets)
        remaining = relative_difference([outputs[suspect.layer]], [suspect.output])
        if remaining <= tolerance:
            return Transposition(suspect.layer, axes, remaining)
    return None
