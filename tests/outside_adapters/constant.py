"""An adapter without a framework: the loss is constant, and a step moves every weight by the learning rate."""

import numpy as np

from epoch_gap.workloads.functional import FunctionalCore, State


class Constant(FunctionalCore):
    version = "3.1"

    def init(self, weights):
        return State({name: array.copy() for name, array in weights.items()})

    def to_device(self, batch):
        """nothing: NumPy's own arrays"""
        return batch

    def loss_and_gradients(self, state, inputs, targets, training):
        return np.float32(2.3), np.zeros((len(targets), 10), np.float32), None, state

    def update(self, state, gradients, lr):
        """weights - lr"""
        return state._replace(weights={name: array - np.float32(lr) for name, array in state.weights.items()})

    def read(self, tensor):
        return np.array(tensor)

    def wait(self, values):
        pass


class Splitting(Constant):
    """With every optional phase."""

    title, execution, checkpoint_name = "constant, split", "lazy", "weights.npy"

    def zero_grad(self, state):
        """nothing"""

    def materialize(self, loss):
        """nothing: it is there"""

    def gradients(self, pending):
        """no gradients"""
        return pending

    def compile(self, function, replaces_state):
        """the function itself"""
        return function

    def save(self, state, path):
        """np.save of the last bias"""
        with path.open("wb") as file:
            np.save(file, state.weights["fc.bias"])


class Lacking(FunctionalCore):
    def init(self, weights):
        return State(weights)

    def update(self, state, gradients, lr):
        return state


class Unchanging(Constant):
    def update(self, state, gradients, lr):
        return state


class Unbuildable(Constant):
    def init(self, weights):
        return State(weights["fc"])


class Complete:
    """No functional core: one that delegates every member to the scripted fake of the project."""

    def __init__(self, device, seed, architecture):
        from epoch_gap.workloads.adapters.fake import Fake

        self._fake = Fake(seed, 4, "", architecture=architecture)

    def __getattr__(self, name):
        return getattr(self._fake, name)


class NoAdapter:
    def __init__(self, device, seed, architecture):
        pass


class NoArguments:
    pass


no_class = 5
