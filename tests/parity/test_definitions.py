"""Probes recover definitions that are planted in NumPy."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.parity import definitions
from epoch_gap.profiler.parity.definitions import (
    LOGITS,
    TARGETS,
    BatchNormResult,
    Definition,
    adam_definitions,
    batch_norm_definitions,
    batch_norm_inputs,
    cross_entropy_definition,
    definition_differences,
    initial_definitions,
    schedule_definitions,
)
from epoch_gap.profiler.parity.tensors import Array
from tests.helpers.parity import normalise

LR = 1e-3


def by_name(found: Sequence[Definition]) -> dict[str, Definition]:
    return {d.name: d for d in found}


def batch_norm(momentum: float = 0.1, eps: float = 1e-5, unbiased: bool = True) -> dict[str, Definition]:
    """A batch normalisation of four channels with scale 2 and shift 3, in float32."""
    x = batch_norm_inputs(4).astype(np.float64)
    scale, shift = np.full(4, 2.0), np.full(4, 3.0)
    output = (normalise(x, eps) * 2 + 3).astype(np.float32)
    variance = x.var((0, 2, 3), ddof=int(unbiased))
    running = (momentum * x.mean((0, 2, 3)), 1 - momentum + momentum * variance)
    result = BatchNormResult(output, *(r.astype(np.float32) for r in running))
    return by_name(batch_norm_definitions("stem.bn", result, scale, shift))


@pytest.mark.parametrize("momentum", [0.1, 0.01, 0.9])
@pytest.mark.parametrize("eps", [1e-5, 1e-3, 1e-6])
@pytest.mark.parametrize("unbiased", [True, False])
def test_a_batch_normalisation_tells_its_definition(momentum: float, eps: float, unbiased: bool) -> None:
    found = batch_norm(momentum, eps, unbiased)
    assert found["momentum"].value == pytest.approx(momentum, rel=1e-5)
    assert found["epsilon"].value == pytest.approx(eps, rel=0.02)
    words = "unbiased (divided by n - 1)" if unbiased else "biased (divided by n)"
    assert found["variance of the running statistics"].meaning == words
    assert found["variance that normalises"].meaning == "biased (divided by n)"


def test_statistics_that_never_move_have_no_variance() -> None:
    found = batch_norm(momentum=0.0)
    assert found["momentum"].value == 0
    assert np.isnan(found["variance of the running statistics"].value)


def adam(
    eps: float = 1e-8,
    decay: float = 5e-4,
    decoupled: bool = False,
    corrected: bool = True,
    early: bool = False,
    betas: tuple[float, float] = (0.9, 0.999),
) -> Callable[[Array, Sequence[Array], bool], list[Array]]:
    """Adam in NumPy; `early` adds epsilon before the second moment is corrected."""

    def steps(parameter: Array, gradients: Sequence[Array], decays: bool) -> list[Array]:
        p, m, v = parameter.astype(np.float64), 0.0, 0.0
        after: list[Any] = []
        for t, gradient in enumerate(gradients, start=1):
            rate = decay if decays else 0.0
            g = gradient + (0 if decoupled else rate * p)
            m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
            first = 1 - betas[0] ** t if corrected else 1.0
            second = np.sqrt(1 - betas[1] ** t) if corrected else 1.0
            root = (np.sqrt(v) + eps) / second if early else np.sqrt(v) / second + eps
            p = p - LR * m / first / root - (LR * rate * p if decoupled else 0)
            after.append(p)
        return after

    return steps


def differing(**planted: Any) -> set[str]:
    sides = [adam_definitions(optimizer, LR) for optimizer in (adam(), adam(**planted))]
    return {d.name for d in definition_differences(*sides, {})}


def test_adam_tells_its_definition() -> None:
    found = by_name(adam_definitions(adam(), LR))
    assert found["epsilon"].value == pytest.approx(1e-8, rel=1e-6)
    assert found["epsilon in the second step"].value == pytest.approx(1e-8, rel=1e-6)
    assert found["bias correction"].meaning == "corrected"
    assert found["weight decay"].meaning == "added to the gradient (L2)"
    assert differing() == set()


def test_each_change_of_adam_is_named() -> None:
    assert differing(eps=1e-3) >= {"epsilon", "epsilon in the second step"}
    assert differing(eps=1e-7) == {"epsilon", "epsilon in the second step"}
    assert differing(early=True) == {"epsilon", "epsilon in the second step"}
    assert differing(decoupled=True) == {"weight decay"}
    assert differing(decay=0.0) == {"weight decay"}
    assert "bias correction" in differing(corrected=False)
    assert differing(betas=(0.8, 0.999)) == {f"update {n} of a known sequence" for n in (2, 3, 4)}


def test_epsilon_before_the_correction_is_larger_in_the_first_step() -> None:
    found = by_name(adam_definitions(adam(early=True), LR))
    assert found["epsilon"].value == pytest.approx(1e-8 / np.sqrt(1e-3), rel=1e-3)
    assert found["epsilon in the second step"].value == pytest.approx(1e-8 / np.sqrt(1.999e-3), rel=1e-3)


@pytest.mark.parametrize(
    ("decay", "decoupled", "meaning"),
    [
        (5e-4, True, "decoupled from the gradient"),
        (0.0, False, "none"),
        (5e-4, False, "added to the gradient (L2)"),
    ],
)
def test_the_place_of_the_weight_decay(decay: float, decoupled: bool, meaning: str) -> None:
    found = by_name(adam_definitions(adam(decay=decay, decoupled=decoupled), LR))
    assert found["weight decay"].meaning == meaning


def test_an_optimizer_that_gives_no_numbers_is_not_a_crash() -> None:
    broken = [np.full_like(definitions.GRADIENTS, np.nan)] * 2

    def steps(parameter: Array, gradients: Sequence[Array], decays: bool) -> list[Array]:
        return broken if parameter.size > 1 else [np.array([np.nan])] * len(gradients)

    names = {d.name for d in definition_differences(*(adam_definitions(a, LR) for a in (adam(), steps)), {})}
    assert {"epsilon", "weight decay"} <= names


def test_the_cross_entropy_tells_mean_from_sum() -> None:
    images = np.log(np.exp(LOGITS).sum(1)) - LOGITS[np.arange(4), TARGETS]
    assert cross_entropy_definition(float(images.mean())).meaning == "mean over the images"
    assert cross_entropy_definition(float(images.sum())).meaning == "sum over the images"
    assert cross_entropy_definition(1.0).meaning == "another loss"


def test_initial_weights_tell_their_spread_and_distribution() -> None:
    draw = np.random.default_rng(1)
    weights = {
        "a.weight": draw.normal(0, np.sqrt(2 / 288), (64, 32, 3, 3)),
        "b.weight": draw.uniform(-0.1, 0.1, (64, 100)),
        "c.bias": np.zeros(64),
    }
    a, b, c = initial_definitions(weights)
    assert (a.meaning, b.meaning, c.meaning) == ("normal", "uniform", "constant")
    assert a.value == pytest.approx(np.sqrt(2), rel=0.02)
    assert b.value == pytest.approx(1 / np.sqrt(3), rel=0.02)
    assert definition_differences([a, b, c], [a, b, c], weights) == []
    again = initial_definitions({name: draw.permutation(w.ravel()).reshape(w.shape) for name, w in weights.items()})
    assert definition_differences([a, b, c], again, weights) == []
    wider = initial_definitions({**weights, "a.weight": 1.2 * weights["a.weight"]})
    (difference,) = definition_differences([a, b, c], wider, weights)
    assert (difference.name, difference.places) == ("initial spread", ("a.weight",))
    assert difference.size == pytest.approx(0.2)
    few = {"d.bias": draw.normal(0, 1, 10)}
    again = initial_definitions({"d.bias": draw.uniform(-1, 1, 10)})
    assert definition_differences(initial_definitions(few), again, few) == []
    ones = initial_definitions({**weights, "c.bias": np.ones(64)})
    (difference,) = definition_differences([a, b, c], ones, weights)
    assert (difference.reference, difference.other) == (0.0, 1.0)


def test_equal_differences_of_several_places_are_one() -> None:
    ours, theirs = [0.1, 0.1, 0.01], [0.1, 0.05, 0.005]
    found = definition_differences(schedule_definitions(ours), schedule_definitions(theirs), {})
    assert [d.places for d in found] == [("epoch 2",), ("epoch 3",)]
    layers = [[Definition("momentum", layer, value) for layer in ("a", "b")] for value in (0.1, 0.2)]
    (found_in_layers,) = definition_differences(*layers, {})
    assert found_in_layers.places == ("a", "b")
