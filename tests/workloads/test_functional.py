"""A functional core has defaults for everything but six functions, and a phase for each that it overrides."""

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import BUILT_IN, Phase
from epoch_gap.profiler.storage.manifest import Network
from epoch_gap.workloads.architecture import find_architecture, resnet18
from epoch_gap.workloads.array_core import ArrayCore
from epoch_gap.workloads.functional import FunctionalCore, choose_device, leaves
from epoch_gap.workloads.initial_weights import draw_weights
from epoch_gap.workloads.optimizer import ADAM
from tests.helpers.adapters import SEED
from tests.helpers.outside import adapter_of, outside_class
from tests.helpers.switched_training import train_switched

Constant, Splitting = (outside_class("constant", name) for name in ("Constant", "Splitting"))
FunctionalTorch = outside_class("functional_torch", "FunctionalTorch")
BOTH = Phase("loss_and_gradients")
UNSPLIT = {Phase.ZERO_GRAD, Phase.FORWARD, Phase.MATERIALIZE, Phase.BACKWARD, Phase.STEP}


def test_six_functions_have_both_passes_in_one_phase_and_nothing_optional() -> None:
    adapter = adapter_of(Constant)
    lacking = {Phase.ZERO_GRAD, Phase.MATERIALIZE, Phase.CHECKPOINT, Phase.FLUSH, Phase.COMPILED}
    assert adapter.phases == BUILT_IN - lacking - {Phase.FORWARD, Phase.BACKWARD} | {BOTH}
    (first, *_) = train_switched(adapter).kept
    assert BOTH in first.durations
    assert not {Phase.FORWARD, Phase.BACKWARD} & first.durations.keys()
    assert (adapter.title, adapter.version, adapter.device) == ("Constant", "3.1", "cpu")
    assert (adapter.layer_timings, adapter.parity) == (None, None)


def test_a_function_that_is_overridden_is_a_phase() -> None:
    adapter = adapter_of(Splitting)
    assert adapter.phases == BUILT_IN - {Phase.COMPILED}
    assert adapter.charged_to == {}
    assert (adapter.title, adapter.checkpoint_name) == ("constant, split", "weights.npy")


def test_a_compiled_step_is_one_phase() -> None:
    adapter = adapter_of(Splitting, compiled=True)
    assert adapter.phases == BUILT_IN - UNSPLIT
    assert adapter.charged_to == dict.fromkeys(UNSPLIT, Phase.COMPILED)
    before = adapter.read_weights()["fc.bias"]
    sink = train_switched(adapter, batches=2)
    assert all(Phase.COMPILED in step.durations for step in sink.kept if step.stage == "train")
    assert np.allclose(adapter.read_weights()["fc.bias"], before - 2 * ADAM.lr)


def test_the_text_of_a_clock_is_the_first_line_of_the_docstring_or_the_functions_name() -> None:
    clocks = adapter_of(Splitting).clocks
    assert clocks[Phase.STEP] == "weights - lr"
    assert clocks[Phase.FORWARD] == "Splitting.loss_and_gradients()"
    assert clocks[Phase.BACKWARD] == "no gradients"
    assert clocks.keys() == adapter_of(Splitting).phases - {Phase.OTHER}


def test_a_long_docstring_is_shortened() -> None:
    class Wordy(Constant):
        def wait(self, values: Any) -> None:
            """Waits for everything, and says so in a sentence that goes on and on until no one listens any more."""

    text = adapter_of(type("Lazy", (Wordy,), {"execution": "lazy"})).clocks[Phase.FLUSH]
    assert text.startswith("Waits for everything")
    assert text.endswith(" ...")
    assert len(text) <= 80


def test_training_starts_from_weights_that_numpy_draws_from_the_seed() -> None:
    adapter, drawn = adapter_of(Constant), draw_weights(resnet18, SEED)
    assert all(np.array_equal(array, drawn[name]) for name, array in adapter.read_weights().items())
    assert adapter.parameter_count() == resnet18.parameter_count()
    conditions = adapter.describe()
    assert (conditions["dtype"], conditions["execution"]) == ("float32", "eager")
    assert conditions["compiles_in_first_step"] is False
    assert adapter_of(Splitting, compiled=True).describe()["compiles_in_first_step"] is True


def test_other_weights_leave_the_rest_of_the_state_alone() -> None:
    adapter: Any = adapter_of(Constant)
    adapter.state = adapter.state._replace(statistics="kept", optimizer="kept")
    weights = {name: array + 1 for name, array in adapter.read_weights().items()}
    adapter.set_weights(weights)
    assert np.array_equal(adapter.read_weights()["fc.bias"], weights["fc.bias"])
    assert adapter.state[1:] == ("kept", "kept")


def test_a_device_is_chosen_among_those_of_the_core() -> None:
    class Accelerated(Constant):
        @classmethod
        def devices(cls) -> tuple[str, ...]:
            return ("gpu", "cpu")

    assert [choose_device(Accelerated, name) for name in ("auto", "gpu", "cpu")] == ["gpu", "gpu", "cpu"]
    with pytest.raises(UserError, match="Accelerated has no device 'mps' on this machine; choose auto or one of: g"):
        choose_device(Accelerated, "mps")


def test_the_wait_gets_everything_that_the_step_has_made() -> None:
    waited: list[Any] = []

    class Waiting(Splitting):
        def wait(self, values: Any) -> None:
            waited.extend(values)

    adapter = adapter_of(Waiting)
    inputs, targets = adapter.to_device((np.zeros((2, 3, 8, 8), np.float32), np.zeros(2, np.int64)))
    logits, loss = adapter.forward(inputs, targets)
    adapter.wait()
    for value in (inputs, targets, logits, loss, adapter.state.weights["fc.bias"]):
        assert any(value is other for other in waited)


def test_leaves_are_found_in_any_nesting() -> None:
    assert leaves(({"a": 1, "b": [2, (3, None)]}, 4)) == [1, 2, 3, 4]


def test_a_core_without_a_maximum_of_windows_is_refused_for_a_network_that_needs_one() -> None:
    class WithoutMaximum(FunctionalTorch):
        max_pool = ArrayCore.max_pool

    for size, refuses in ((32, False), (64, True)):
        expected = pytest.raises(UserError, match="WithoutMaximum has no max_pool, which ResNet-18 needs")
        with expected if refuses else nullcontext():
            WithoutMaximum("cpu", find_architecture(Network("resnet18", size)))


def test_a_core_needs_its_six_functions() -> None:
    assert FunctionalCore.__abstractmethods__ == {
        *("init", "to_device", "loss_and_gradients", "update", "read", "wait")
    }
