"""Time forward and backward layer by layer, in a separate run that is never a timed one."""

import argparse

from epoch_gap.profiler.commands.shared import watched_training
from epoch_gap.profiler.commands.shared.watched_training import (
    layer_drilldown,
    layer_timings,
    layers_watch,
    operators_watch,
    store_layers,
    train_watched,
)
from epoch_gap.profiler.drilldown.layers import LAYERS, OPERATORS
from epoch_gap.reports.terminal.layers import layer_table, operator_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    watched_training.add_arguments(parser)
    parser.add_argument(
        "--operators",
        action="store_true",
        help="also store the operator times; they come from a second run if the first does not time them",
    )


def execute(args: argparse.Namespace) -> int:
    """Store and print the layers, and with `--operators` the operators."""
    training = train_watched(args, layers_watch)
    drilldown = layer_drilldown(training)
    print(store_layers(args, training, LAYERS, drilldown))
    print(layer_table(drilldown))
    if args.operators:
        if layer_timings(training.framework).operators is not None:
            training = train_watched(args, operators_watch)
            drilldown = layer_drilldown(training)
        print(store_layers(args, training, OPERATORS, drilldown))
        print(operator_table(drilldown))
    return 0
