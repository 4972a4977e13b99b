"""PyTorch's networks: torchvision's ResNets with the described stem, and chains of torch.nn's layers."""

from collections.abc import Callable, Mapping

from torch import nn
from torchvision import models

from epoch_gap.workloads.architecture import CLASSES, Activation, Architecture, Conv, Linear, Operation, Pool

RESNETS: Mapping[str, Callable[..., nn.Module]] = {
    "resnet18": models.resnet18,
    "resnet34": models.resnet34,
    "resnet50": models.resnet50,
}


def build_network(architecture: Architecture) -> nn.Module:
    """The network, with torchvision's or torch.nn's own initial weights."""
    if architecture.name not in RESNETS:
        return _chain(architecture)
    model = RESNETS[architecture.name](num_classes=CLASSES)
    if not has_torchvisions_stem(architecture):
        stem = next(architecture.convolutions())
        model.conv1 = nn.Conv2d(stem.inputs, stem.out, stem.kernel, stem.stride, padding=stem.padding, bias=False)
        model.maxpool = nn.Identity()
    return model


def has_torchvisions_stem(architecture: Architecture) -> bool:
    """Whether the network begins as torchvision's: with a max pooling."""
    return "stem.pool" in architecture.shapes()


def describe_initialisation(architecture: Architecture) -> str:
    """Who draws the initial weights."""
    if architecture.name not in RESNETS:
        return "torch's default: kaiming_uniform"
    own = "linear" if has_torchvisions_stem(architecture) else "stem and linear"
    return f"torchvision {architecture.name}: kaiming_normal fan_out; {own} by torch's default"


def _chain(architecture: Architecture) -> nn.Module:
    """The operations one after the other, in modules of their canonical names."""
    model, shapes = nn.Sequential(), architecture.shapes()
    for operation in architecture.operations:
        parent: nn.Module = model
        *containers, name = operation.name.split(".")
        for container in containers:
            if container not in dict(parent.named_children()):
                parent.add_module(container, nn.Sequential())
            parent = parent.get_submodule(container)
        if isinstance(operation, Linear) and len(shapes[operation.sources[0]]) > 1:
            parent.add_module("flatten", nn.Flatten())
        parent.add_module(name, _module(operation))
    return model


def _module(operation: Operation) -> nn.Module:
    match operation:
        case Conv():
            size = operation.kernel, operation.stride, operation.padding
            return nn.Conv2d(operation.inputs, operation.out, *size, bias=operation.has_bias)
        case Activation():
            return nn.ReLU() if operation.function == "relu" else nn.Tanh()
        case Pool():
            size = operation.kernel, operation.stride, operation.padding
            return nn.MaxPool2d(*size) if operation.function == "max" else nn.AvgPool2d(*size)
        case Linear():
            return nn.Linear(operation.inputs, operation.out)
        case _:
            raise TypeError(f"no chain has {operation}")
