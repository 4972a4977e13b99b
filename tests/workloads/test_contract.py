"""The contract holds for every functional core, and each of its rules finds an adapter that breaks it."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads import contract, registry
from epoch_gap.workloads.contract import check_rule
from epoch_gap.workloads.contract_subject import Subject
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.registry import Options
from tests.helpers.adapters import FUNCTIONAL, SEED, build
from tests.helpers.clocks import ScriptedClock
from tests.helpers.outside import adapter_of, outside_class
from tests.helpers.parity import small_data
from tests.helpers.paths import ROOT

Constant, Splitting = (outside_class("constant", name) for name in ("Constant", "Splitting"))
FunctionalTorch = outside_class("functional_torch", "FunctionalTorch")


def compiled_jax() -> Framework:
    return registry.create("jax", Options("cpu", SEED, compiled=True))


CORES: dict[str, Callable[[], Framework]] = {
    "functional torch": lambda: adapter_of(FunctionalTorch),
    **{name: lambda name=name, device=device: build(name, device) for name, device in FUNCTIONAL},  # type: ignore[misc]
    **({"compiled jax": compiled_jax} if find_spec("jax") else {}),
}


OF_COMPILED = ("phases", "delays", "wait", "parity")
"""the rules that a compiled step can break though the same core keeps them uncompiled"""


@cache
def subject_of(core: str) -> Subject:
    return subject(CORES[core])


def subject(build_adapter: Callable[[], Framework], clock: ScriptedClock | None = None) -> Subject:
    data = small_data(12)
    return Subject(build_adapter, lambda: build("torch", "cpu"), data, clock or ScriptedClock())


@pytest.mark.parametrize(
    ("core", "rule"),
    [(c, rule) for c in CORES for rule in contract.RULES if c != "compiled jax" or rule in OF_COMPILED],
)
def test_the_contract_holds(core: str, rule: str) -> None:
    outcome = check_rule(rule, subject_of(core))
    assert (outcome.is_broken, outcome.is_applicable) == (False, True), outcome.text


@pytest.mark.skipif(not all(map(find_spec, ("keras", "jax"))), reason="Keras or JAX is not installed")
def test_the_contract_holds_for_keras_on_jax_in_a_process_with_that_backend() -> None:
    command = [sys.executable, "-m", "profiler", "check", "keras_jax", "--allow-busy"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert [line[:2] for line in done.stdout.splitlines()] == ["ok"] * len(contract.RULES)


def outcome_of(rule: str, core: Any, clock: ScriptedClock | None = None) -> str:
    """What a rule says of a core that breaks it."""
    outcome = check_rule(rule, subject(lambda: adapter_of(core), clock))
    assert outcome.is_broken, outcome.text
    return outcome.text


@pytest.mark.parametrize("rule", [rule for rule in contract.RULES if rule != "parity"])
def test_a_core_without_a_network_keeps_all_rules_but_parity(rule: str) -> None:
    for core in (Constant, Splitting):
        outcome = check_rule(rule, subject(lambda core=core: adapter_of(core)))  # type: ignore[misc]
        assert not outcome.is_broken, outcome.text
    assert "the loss of loss differs from PyTorch's" in outcome_of("parity", Constant)


def test_an_adapter_that_cannot_be_built_is_found() -> None:
    class Broken(Constant):
        def init(self, weights: Any) -> Any:
            raise ZeroDivisionError("no network")

    text = outcome_of("build", Broken)
    assert text.startswith("ZeroDivisionError: no network (test_contract.py, line ")


def test_missing_and_misshapen_parameters_are_found() -> None:
    class Lacking(Constant):
        def read_weights(self, state: Any) -> Any:
            return {name: array for name, array in state.weights.items() if name != "fc.bias"}

    class Turned(Constant):
        def read_weights(self, state: Any) -> Any:
            return {**state.weights, "fc.weight": state.weights["fc.weight"].T}

    assert outcome_of("parameters", Lacking) == "11173952 trainable parameters; the network has 11173962"
    assert outcome_of("parameters", Turned) == "fc.weight is (512, 10); expected (10, 512)"


def test_weights_that_are_no_copies_are_found() -> None:
    class InPlace(Constant):
        def update(self, state: Any, gradients: Any, lr: float) -> Any:
            for array in state.weights.values():
                array -= lr
            return state

    class Views(InPlace):
        def read(self, tensor: Any) -> Any:
            return tensor

    class Deaf(Constant):
        def set_weights(self, state: Any, weights: Any) -> Any:
            return state

    assert check_rule("weights", subject(lambda: adapter_of(InPlace))).is_broken is False
    assert outcome_of("weights", Views) == "read_weights() returns no copies: a step changes stem.conv.weight"
    assert outcome_of("weights", Deaf) == "stem.conv.weight is not read as it was set"


def test_a_phase_that_is_not_marked_is_found() -> None:
    def claiming(phase: Phase) -> Subject:
        def make() -> Framework:
            adapter = adapter_of(Constant)
            adapter.phases |= {phase}
            return adapter

        return subject(make)

    outcome = check_rule("phases", claiming(Phase.COMPILED))
    assert outcome.text == "step 1: compiled_step is not marked, but among `phases`"
    outcome = check_rule("clocks", claiming(Phase.COMPILED))
    assert outcome.text == "there is no text for compiled_step"


def test_a_loader_without_the_wrapped_collation_is_found() -> None:
    def make() -> Framework:
        adapter: Any = adapter_of(Constant)
        load = adapter.loader
        adapter.loader = lambda x, y, size, shuffle, wrap, order=None: load(x, y, size, shuffle, lambda c: c, order)
        return adapter  # type: ignore[no-any-return]

    assert check_rule("phases", subject(make)).text == "step 1: collate is not marked, but among `phases`"


def test_work_of_one_phase_that_another_calls_is_found() -> None:
    def make() -> Framework:
        adapter: Any = adapter_of(Splitting)
        step = adapter.step

        def clear_and_step() -> None:
            adapter.zero_grad()
            step()

        adapter.step = clear_and_step
        return adapter  # type: ignore[no-any-return]

    assert check_rule("delays", subject(make)).text == "a delay in zero_grad is found in step"


def test_a_second_wait_that_works_and_a_wait_that_does_not_wait_are_found() -> None:
    clock = ScriptedClock()

    class Working(Splitting):
        def update(self, state: Any, gradients: Any, lr: float) -> Any:
            clock.advance(100)
            return super().update(state, gradients, lr)

    class Again(Working):
        def wait(self, values: Any) -> None:
            clock.advance(10)

    class Idle(Working):
        unread = 0

        def update(self, state: Any, gradients: Any, lr: float) -> Any:
            self.unread = 80
            return super().update(state, gradients, lr)

        def read(self, tensor: Any) -> Any:
            clock.advance(self.unread)
            self.unread = 0
            return super().read(tensor)

    assert check_rule("wait", subject(lambda: adapter_of(Working), clock)).is_broken is False
    assert outcome_of("wait", Again, clock) == "a second wait takes 33% of a step: it computes something again"
    assert outcome_of("wait", Idle, clock) == "wait() does not wait: reading the results after it takes 80% of a step"


def test_fences_that_change_what_is_trained_are_found() -> None:
    """A lazy framework may forget the graph of what it has computed, and with it the gradients."""

    class Forgetting(Splitting):
        has_waited = False

        def loss_and_gradients(self, state: Any, *more: Any) -> Any:
            return np.float32(2 + state.weights["fc.bias"][0]), *super().loss_and_gradients(state, *more)[1:]

        def wait(self, values: Any) -> None:
            self.has_waited = True

        def update(self, state: Any, gradients: Any, lr: float) -> Any:
            return state if self.has_waited else super().update(state, gradients, 1.0)

    assert outcome_of("wait", Forgetting).startswith("with fences, the loss of step 3 is ")


def test_an_evaluation_that_trains_is_found() -> None:
    class Training(Constant):
        def evaluate(self, state: Any, inputs: Any, targets: Any) -> Any:
            state.weights["fc.bias"] += 1
            return super().evaluate(state, inputs, targets)

    class Forgetful(Constant):
        losses = 0

        def evaluate(self, state: Any, inputs: Any, targets: Any) -> Any:
            self.losses += 1
            return np.float32(self.losses), np.zeros((len(targets), 10), np.float32)

    assert outcome_of("evaluation", Training) == "it changes fc.bias"
    assert outcome_of("evaluation", Forgetful) == "the same test batch has the losses 1 and 2"


def test_a_rate_that_does_not_reach_the_optimizer_is_found() -> None:
    class Fixed(Constant):
        def update(self, state: Any, gradients: Any, lr: float) -> Any:
            return super().update(state, gradients, 1e-3)

    class Still(Constant):
        def update(self, state: Any, gradients: Any, lr: float) -> Any:
            return state

    assert outcome_of("learning rate", Fixed) == "at a rate of 0, a step changes stem.conv.weight"
    assert outcome_of("learning rate", Still) == "a step changes no weight"


def test_another_computation_is_found_with_its_layer() -> None:
    class Leaky(FunctionalTorch):  # type: ignore[misc, valid-type]
        def relu(self, x: Any) -> Any:
            return x.clamp(min=-0.1)

    assert outcome_of("parity", Leaky).startswith("step 1: the output of stem.relu differs from PyTorch's by ")


def test_without_access_the_updated_weights_show_another_optimizer() -> None:
    class Slower(FunctionalTorch):  # type: ignore[misc, valid-type]
        def parity(self, training: Any) -> None:
            return None

        def update(self, state: Any, gradients: Any, lr: float) -> Any:
            return super().update(state, gradients, 0.5 * lr)

    assert outcome_of("parity", Slower).startswith("step 1: the updated weight of ")


def test_parity_needs_pytorch() -> None:
    outcome = check_rule("parity", Subject(lambda: adapter_of(Constant), None, small_data(12), ScriptedClock()))
    assert (outcome.is_broken, outcome.is_applicable, outcome.text) == (False, False, "PyTorch is not installed")
