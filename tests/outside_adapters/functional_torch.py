"""PyTorch as functions of arrays: an adapter as a file of another project has it."""

import torch
from torch.nn import functional as F

from epoch_gap.workloads.array_core import ArrayCore


class FunctionalTorch(ArrayCore):
    version = torch.__version__
    array, relu, cross_entropy = staticmethod(torch.tensor), staticmethod(torch.relu), staticmethod(F.cross_entropy)

    def conv(self, x, kernel, stride, padding):
        return F.conv2d(x, kernel, stride=stride, padding=padding)

    def max_pool(self, x, kernel, stride, padding):
        return F.max_pool2d(x, kernel, stride, padding)

    def detach(self, x):
        return x.detach()

    def to_device(self, batch):
        """torch.from_numpy(images), torch.from_numpy(labels): no copies"""
        return torch.from_numpy(batch[0]), torch.from_numpy(batch[1])

    def loss_and_gradients(self, state, inputs, targets, training):
        """the network, F.cross_entropy, torch.autograd.grad"""
        weights = {name: weight.detach().requires_grad_() for name, weight in state.weights.items()}
        loss, done = self.loss(state, inputs, targets, training, weights)
        gradients = dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))
        return loss.detach(), done.logits.detach(), gradients, self.after(state, done)

    def read(self, tensor):
        return tensor.detach().numpy().copy()

    def wait(self, values):
        """nothing: eager"""
