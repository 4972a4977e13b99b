"""Where a framework's forward and backward time goes, layer by layer: a run of its own, never a timed one."""

import argparse
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from epoch_gap.profiler.commands.options import add_workload
from epoch_gap.profiler.drilldown import layers, roofline
from epoch_gap.profiler.drilldown.spans import Spans
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine import environment
from epoch_gap.profiler.machine import run_lock as busy
from epoch_gap.profiler.storage import store
from epoch_gap.reports.terminal import layers as layer_tables
from epoch_gap.workloads import registry, resnet18
from epoch_gap.workloads.adapters.fake import DEFAULT_COSTS
from epoch_gap.workloads.cifar10.load import load_cifar10
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.watched_steps import Watched, images_needed, watch

STEPS = 5
"""without anything watched, and as many watched, where nothing else is asked for"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--framework", choices=registry.FRAMEWORKS, required=True)
    add_workload(parser)
    parser.add_argument("--fake-costs", default=DEFAULT_COSTS, help=argparse.SUPPRESS)


def execute(args: argparse.Namespace) -> int:
    """Store and print the layers."""
    found = drill(args, layers.LAYERS, lambda framework, spans: framework.layers(spans))
    print(layer_tables.of_one(found))
    return 0


Watching = Callable[[Framework, Spans], AbstractContextManager[None]]


def drill(args: argparse.Namespace, file: str, watching: Watching) -> layers.Drilldown:
    """Train a few steps, without and with `watching`; store what it saw as `file`. Raises UserError."""
    seen, conditions = train(args, watching)
    ceilings = {**roofline.numpy_ceilings(), **seen.framework.ceilings()}
    architecture = list(resnet18.layers())
    found = layers.collect(
        conditions, seen.plain, seen.watched, seen.spans, seen.framework.family, ceilings, architecture
    )
    name = f"{file.removesuffix('.json')}-{seen.framework.name}-{seen.framework.device}"
    print(store.keep_drilldown(args.runs_dir, name, file, layers.to_json(found)))
    return found


def train(args: argparse.Namespace, watching: Watching) -> tuple[Watched, dict[str, Any]]:
    """Train a few steps, without and with `watching`; what was seen, and under which conditions. Raises UserError."""
    size, steps = args.batch_size or 128, args.steps or STEPS
    with busy.present(secrets.token_hex(4), allow_others=args.allow_busy):
        framework = registry.build(
            args.framework, args.device, args.seed, batch_size=size, costs=args.fake_costs, lazy=False
        )
        needed = images_needed(size, steps)
        data = load_cifar10(args.data, train_limit=needed, test_limit=size, mmap=args.mmap)
        if len(data.y_train) < needed:
            raise UserError(f"{needed} training images are needed and {len(data.y_train)} are there; lower --steps")
        spans = Spans()
        seen = Watched(framework, watching(framework, spans), spans, steps)
        watch(data, size, seen, args.quiet)
    conditions = {
        "framework": {
            "name": framework.name, "title": framework.title, "version": framework.version,
            "device": framework.device,
        },
        "batch_size": size,
        "data": {"kind": data.kind, "sha256": data.sha256},
        "environment": environment.collect(),
    }  # fmt: skip
    return seen, conditions
