"""Where a framework's forward and backward time goes, by kind of operator: a run of its own, never a timed one."""

import argparse

from epoch_gap.profiler.commands import layers as layers_command
from epoch_gap.profiler.drilldown import layers
from epoch_gap.reports.terminal import layers as layer_tables


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    layers_command.add_arguments(parser)


def execute(args: argparse.Namespace) -> int:
    """Store and print the families of operators."""
    found = layers_command.drill(args, layers.OPERATORS, lambda framework, spans: framework.operators(spans))
    print(layer_tables.families_of_one(found))
    return 0
