"""Lucid's own networks, with the described stem and for images of the described size."""

from typing import Any

import lucid.models
from lucid import nn

from epoch_gap.workloads.architecture import CLASSES, Architecture, Linear

LENET, RESNETS = "lenet_5", {"resnet18": "resnet_18", "resnet34": "resnet_34", "resnet50": "resnet_50"}
"""Lucid's names"""


def build_network(architecture: Architecture) -> Any:
    """The network, with Lucid's own initial weights."""
    if architecture.name not in RESNETS:
        return _lenet5(architecture)
    model = getattr(lucid.models, RESNETS[architecture.name])(num_classes=CLASSES)
    if "stem.pool" not in architecture.shapes():  # unlike Lucid's own stem
        stem = next(architecture.convolutions())
        model.stem = nn.Sequential(
            nn.Conv2d(stem.inputs, stem.out, stem.kernel, stride=stem.stride, padding=stem.padding, bias=False),
            nn.BatchNorm2d(stem.out),
            nn.ReLU(),
        )
        model.maxpool = nn.Identity()
    return model


def describe_initialisation(architecture: Architecture) -> str:
    """Who draws the initial weights."""
    return f"lucid {RESNETS.get(architecture.name, LENET)}: kaiming_uniform convolutions and linear"


def _lenet5(architecture: Architecture) -> Any:
    """Lucid's `lenet_5` is for one channel of 32 x 32; its layers that depend on that are replaced."""
    model = getattr(lucid.models, LENET)()
    first = next(architecture.convolutions())
    linear = next(operation for operation in architecture.operations if isinstance(operation, Linear))
    model.conv1 = nn.Sequential(nn.Conv2d(first.inputs, first.out, first.kernel), nn.Tanh(), nn.AvgPool2d(2, 2))
    model.fc1 = nn.Linear(linear.inputs, linear.out)
    return model
