"""Time forward and backward by operator category, in a separate run that is never a timed one."""

import argparse

from epoch_gap.profiler.commands.shared import watched_training
from epoch_gap.profiler.commands.shared.watched_training import (
    layer_drilldown,
    operators_watch,
    store_layers,
    train_watched,
)
from epoch_gap.profiler.drilldown.layers import OPERATORS
from epoch_gap.reports.terminal.layers import operator_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    watched_training.add_arguments(parser)


def execute(args: argparse.Namespace) -> int:
    """Store and print the operators."""
    training = train_watched(args, operators_watch)
    drilldown = layer_drilldown(training)
    print(store_layers(args, training, OPERATORS, drilldown))
    print(operator_table(drilldown))
    return 0
