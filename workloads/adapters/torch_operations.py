"""PyTorch's modules with another computation inside. The autograd graph, and all other modules, stay."""

from functools import partial
from typing import Any

import torch
from torch import nn

from epoch_gap.workloads.intervention import Undo, replace_attribute, undo_all
from epoch_gap.workloads.transplant import Convolution, Geometry


class TransplantedConvolution(torch.autograd.Function):
    """A convolution over the memory of CPU tensors, as NumPy arrays."""

    @staticmethod
    def forward(ctx: Any, inputs: Any, weights: Any, geometry: Any, convolution: Any) -> torch.Tensor:
        """The outputs."""
        ctx.save_for_backward(inputs, weights)
        ctx.geometry, ctx.convolution = geometry, convolution
        return torch.from_numpy(convolution.forward(inputs.numpy(), weights.detach().numpy(), geometry))

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        """The gradients of the inputs and of the weights."""
        inputs, weights = (tensor.detach().numpy() for tensor in ctx.saved_tensors)
        needs_inputs = ctx.needs_input_grad[0]
        of_inputs, of_weights = ctx.convolution.backward(
            gradient.numpy(), inputs, weights, ctx.geometry, needs_inputs
        )
        return torch.from_numpy(of_inputs) if needs_inputs else None, torch.from_numpy(of_weights), None, None


def transplant_convolution(model: nn.Module, convolution: Convolution) -> Undo:
    """Compute every convolution of a model on the CPU by `convolution`."""
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    return undo_all(
        replace_attribute(module, "forward", partial(_forward, module, convolution)) for module in convolutions
    )


def _forward(module: nn.Conv2d, convolution: Convolution, inputs: torch.Tensor) -> torch.Tensor:
    assert isinstance(module.padding, tuple), "padding by name"
    geometry = Geometry(module.stride, module.padding, module.dilation, module.groups)
    outputs: torch.Tensor = TransplantedConvolution.apply(inputs, module.weight, geometry, convolution)
    return outputs if module.bias is None else outputs + module.bias[:, None, None]
