"""Short training runs under a tool, for the verbs `layers`, `operators` and `lines`; never timed runs."""

import argparse
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from epoch_gap.profiler.commands.shared.options import add_framework, add_switches, add_workload, network_of
from epoch_gap.profiler.comparison.identity import name_drilldown
from epoch_gap.profiler.drilldown import layers, roofline
from epoch_gap.profiler.drilldown.conditions import (
    DrilldownConditions,
    DrilldownData,
    DrilldownFramework,
)
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.allocator import Allocator, check_allocator, read_allocator
from epoch_gap.profiler.machine.environment import read_commit, read_environment
from epoch_gap.profiler.machine.run_lock import hold_run_lock
from epoch_gap.profiler.storage.artifacts import store_json_artifact
from epoch_gap.profiler.storage.manifest import DataKind, Network, environment_to_json
from epoch_gap.workloads import registry, watched_steps
from epoch_gap.workloads.cifar10.load import Cifar10, load_cifar10
from epoch_gap.workloads.experiments import check_switches
from epoch_gap.workloads.framework import Framework, LayerTimings, Watch

STEPS = 5
"""default number of unwatched steps, and of watched steps"""
BATCH_SIZE = 128


@dataclass(frozen=True)
class WatchedTraining:
    """A framework, the conditions of its training, and the steps."""

    framework: Framework
    conditions: DrilldownConditions
    steps: watched_steps.WatchedSteps

    @property
    def name(self) -> str:
        """The framework, its device and network, for the names of files."""
        return name_drilldown(self.framework.name, self.framework.device, self.conditions.network)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_framework(parser)
    add_workload(parser)
    add_switches(parser)
    for option in ("--fake-costs", "--fake-version"):
        parser.add_argument(option, help=argparse.SUPPRESS)


def train_watched(args: argparse.Namespace, choose_watch: Callable[[Framework], Watch]) -> WatchedTraining:
    """Train a few steps unwatched, then as many watched. Raises UserError.

    `choose_watch` is called as soon as the framework is built.
    """
    check_allocator(args.allocator)
    size, steps = args.batch_size or BATCH_SIZE, args.steps or STEPS
    with hold_run_lock(secrets.token_hex(4), allow_others=args.allow_busy):
        options = registry.Options(
            device=args.device,
            seed=args.seed,
            batch_size=size,
            network=network_of(args),
            compiled=args.compile,
            costs=args.fake_costs,
            version=args.fake_version,
        )
        framework = registry.build(args.framework, options)
        check_switches(args.switch, framework)
        watch = choose_watch(framework)
        data = _load(args, size, steps)
        collected = watched_steps.train(framework, data, size, steps, watch, args.quiet, args.seed, args.switch)
    conditions = _conditions(framework, data, size, args.switch, network_of(args))
    return WatchedTraining(framework, conditions, collected)


def _load(args: argparse.Namespace, size: int, steps: int) -> Cifar10:
    needed = watched_steps.images_needed(size, steps)
    data = load_cifar10(args.data, train_limit=needed, test_limit=size, mmap=args.mmap, image_size=args.image_size)
    if len(data.y_train) < needed:
        raise UserError(f"{needed} training images are needed, but the data have {len(data.y_train)}; lower --steps")
    return data


def _conditions(
    framework: Framework, data: Cifar10, size: int, switches: Sequence[str], network: Network
) -> DrilldownConditions:
    return DrilldownConditions(
        framework=DrilldownFramework(
            name=framework.name,
            title=framework.title,
            version=framework.version,
            installed_commit=read_commit(framework.distribution),
            device=framework.device,
        ),
        batch_size=size,
        data=DrilldownData(kind=DataKind(data.kind), sha256=data.sha256),
        keeps_memory=read_allocator() is Allocator.KEEP,
        switches=tuple(switches),
        network=network,
        environment=environment_to_json(read_environment()),
    )


def layer_timings(framework: Framework) -> LayerTimings:
    """The framework's layer timings. Raises UserError if it has none."""
    timings = framework.layer_timings
    if timings is None:
        raise UserError(
            f"layers and operators of {framework.title} cannot be timed: its adapter does not support it "
            "(no adapter does with --compile)"
        )
    return timings


def layers_watch(framework: Framework) -> Watch:
    """The `Watch` that times the layers. Raises UserError if the framework cannot time them."""
    return layer_timings(framework).layers


def operators_watch(framework: Framework) -> Watch:
    """The `Watch` that times the operators. Raises UserError if the framework cannot time them."""
    timings = layer_timings(framework)
    return timings.operators or timings.layers


def layer_drilldown(training: WatchedTraining) -> layers.Drilldown:
    """Layer and operator times of a watched training, with peak rates measured during this call."""
    timings = layer_timings(training.framework)
    own_rates = timings.peak_rates() if timings.peak_rates is not None else {}
    return layers.Drilldown.from_steps(
        training.conditions,
        training.steps.plain,
        training.steps.watched,
        training.steps.spans,
        timings.category,
        {**roofline.numpy_peak_rates(), **own_rates},
        list(training.framework.architecture.layers()),
    )


def store_layers(args: argparse.Namespace, training: WatchedTraining, file: str, drilldown: layers.Drilldown) -> Path:
    """Store `drilldown` as `file`, layers.json or operators.json, in a new directory; return the file's path."""
    name = f"{file.removesuffix('.json')}-{training.name}"
    return store_json_artifact(args.runs_dir, name, file, layers.layers_to_json(drilldown))
