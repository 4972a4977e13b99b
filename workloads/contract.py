"""The contract of an adapter, rule by rule: the verb `check` prints the outcomes, and tests expect none broken."""

import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from epoch_gap.profiler.errors import UserError, one_line
from epoch_gap.profiler.parity.tensors import Deviation, Quantity, deviations, largest_difference
from epoch_gap.workloads.contract_subject import BATCH_SIZE, BrokenRuleError, NotApplicableError, Subject
from epoch_gap.workloads.contract_timing import check_clocks, check_delays, check_phases, check_wait
from epoch_gap.workloads.framework import Framework, Weights
from epoch_gap.workloads.optimizer import ADAM, StepLR
from epoch_gap.workloads.parity_steps import Batches, take_plain_step, train_in_lockstep

PARITY_STEPS, TOLERANCE, ROUNDINGS = 3, 1e-4, 2
"""as in `parity`, with fewer steps and fewer references"""
Rule = Callable[[Subject], str]
"""what holds, in words; raises `BrokenRuleError`, or `NotApplicableError`"""


@dataclass(frozen=True)
class Outcome:
    """What a rule has found."""

    rule: str
    text: str
    is_broken: bool = False
    is_applicable: bool = True


def check_rule(rule: str, subject: Subject) -> Outcome:
    """The outcome of one of `RULES`. An exception in the adapter breaks the rule; a UserError is raised as it is."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return Outcome(rule, RULES[rule](subject))
    except NotApplicableError as error:
        return Outcome(rule, str(error), is_applicable=False)
    except BrokenRuleError as error:
        return Outcome(rule, str(error), is_broken=True)
    except UserError:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        return Outcome(rule, f"{type(error).__name__}: {one_line(error)} ({where})", is_broken=True)


def check_build(subject: Subject) -> str:
    """It can be built on the device."""
    framework = subject.first
    return f"{framework.title} {framework.version} on {framework.device}, for batches of {BATCH_SIZE}"


def check_parameters(subject: Subject) -> str:
    """The number, the names and the shapes of the trainable parameters."""
    architecture, count = subject.first.architecture, subject.first.parameter_count()
    expected = architecture.parameter_count()
    if count != expected:
        raise BrokenRuleError(f"{count} trainable parameters; the network has {expected}")
    shapes, needed = _shapes(subject.first), dict(architecture.parameters())
    if missing := [name for name in needed if name not in shapes]:
        raise BrokenRuleError(f"read_weights() lacks {missing[0]}")
    if strange := [name for name in shapes if name not in needed]:
        raise BrokenRuleError(f"read_weights() has {strange[0]}, which the network has not")
    if wrong := [name for name, shape in needed.items() if shapes[name] != shape]:
        raise BrokenRuleError(f"{wrong[0]} is {shapes[wrong[0]]}; expected {needed[wrong[0]]}")
    return f"{count} trainable parameters, under the network's names and in its shapes"


def _shapes(framework: Framework) -> dict[str, tuple[int, ...]]:
    return {name: tuple(array.shape) for name, array in framework.read_weights().items()}


def check_weights(subject: Subject) -> str:
    """Weights that are set are read again, as copies."""
    framework, draw = subject.build(), np.random.default_rng(0)
    weights = {name: draw.random(shape, np.float32) for name, shape in _shapes(framework).items()}
    framework.set_weights({name: array.copy() for name, array in weights.items()})
    read = framework.read_weights()
    if wrong := _changed(weights, read):
        raise BrokenRuleError(f"{wrong} is not read as it was set")
    take_plain_step(framework, next(subject.batches(framework)))
    if wrong := _changed(weights, read):
        raise BrokenRuleError(f"read_weights() returns no copies: a step changes {wrong}")
    return "read_weights() returns copies of what set_weights() was given"


def _changed(before: Weights, after: Weights) -> str | None:
    """The first weight that is not the same; None if all are."""
    return next((name for name, array in before.items() if not np.array_equal(array, after[name])), None)


def check_evaluation(subject: Subject) -> str:
    """An evaluation changes nothing, and gives the same loss again; training goes on after it."""
    framework = subject.build()
    batches = subject.batches(framework)
    take_plain_step(framework, next(batches))
    before, batch, losses = framework.read_weights(), next(batches), []
    with framework.evaluating():
        for _ in range(2):
            inputs, targets = framework.to_device(batch)
            logits, loss = framework.forward(inputs, targets)
            losses.append(framework.metrics(logits, loss, targets)[0])
    if not np.isclose(losses[0], losses[1], rtol=1e-6):
        raise BrokenRuleError(f"the same test batch has the losses {losses[0]:.6g} and {losses[1]:.6g}")
    if wrong := _changed(before, framework.read_weights()):
        raise BrokenRuleError(f"it changes {wrong}")
    if not np.isfinite(take_plain_step(framework, next(batches))):
        raise BrokenRuleError("the loss of the next training step is not finite")
    return "it changes no weight, and gives the same loss again"


def check_learning_rate(subject: Subject) -> str:
    """The rate follows the schedule and reaches the optimizer: at a rate of 0, a step changes no weight."""
    framework = subject.build()
    batch, start, first = next(subject.batches(framework)), framework.read_weights(), framework.lr
    if first != ADAM.lr:
        raise BrokenRuleError(f"it begins with {first:g}; expected {ADAM.lr:g}")
    take_plain_step(framework, batch)
    before = framework.read_weights()
    if _changed(start, before) is None:
        raise BrokenRuleError("a step changes no weight")
    framework.use_schedule(StepLR(step_size=1, gamma=0.0))
    framework.end_epoch()
    if framework.lr != 0:
        raise BrokenRuleError(f"it is {framework.lr:g} where the schedule has 0")
    take_plain_step(framework, batch)
    if wrong := _changed(before, framework.read_weights()):
        raise BrokenRuleError(f"at a rate of 0, a step changes {wrong}")
    return f"{first:g} at first, then by the schedule; at 0, a step changes no weight"


def check_parity(subject: Subject) -> str:
    """From PyTorch's weights on the same batches, the training is the same up to rounding.

    Of an adapter without `ParityAccess`, only the losses and the updated weights are compared.
    """
    if subject.reference is None:
        raise NotApplicableError("PyTorch is not installed")
    other = subject.build()
    batches, is_watched = Batches(subject.data, BATCH_SIZE, PARITY_STEPS, 0), other.parity is not None
    reference, *rounded = (subject.reference() for _ in range(1 + ROUNDINGS))
    try:
        found = train_in_lockstep(reference, other, rounded, batches, TOLERANCE, lambda lockstep: None, is_watched)
    except UserError as error:
        raise BrokenRuleError(str(error)) from None
    beyond = deviations(found.traces, TOLERANCE)
    if wrong := [deviation for deviation in beyond if deviation.quantity is not Quantity.STATISTICS]:
        raise BrokenRuleError(_describe(wrong[0]))
    unlike = f"; running statistics are defined otherwise ({beyond[0].layer})" if beyond else ""
    compared = "losses and updated weights"
    if is_watched:
        layer, difference = largest_difference(found.traces, Quantity.OUTPUT, 0)
        compared = f"all layers; outputs differ by at most {difference:.0e}, in {layer}"
    return f"{PARITY_STEPS} steps are PyTorch's up to rounding ({compared}{unlike})"


def _describe(deviation: Deviation) -> str:
    sizes = f"by {deviation.difference:.1e}, where rounding makes {deviation.rounding:.1e}"
    return f"step {deviation.step}: the {deviation.quantity} of {deviation.layer} differs from PyTorch's {sizes}"


RULES: Mapping[str, Rule] = {
    "build": check_build,
    "parameters": check_parameters,
    "weights": check_weights,
    "phases": check_phases,
    "delays": check_delays,
    "clocks": check_clocks,
    "wait": check_wait,
    "evaluation": check_evaluation,
    "learning rate": check_learning_rate,
    "parity": check_parity,
}
"""by name, in the order in which they are checked; without the first, none of the others can be"""
