"""Times the two variants of an experiment in isolation, in a process of its own; prints the ratios as JSON."""

import argparse
import io
import json
import sys
from collections.abc import Sequence

from epoch_gap.profiler.commands.shared.exit_status import exit_status_of
from epoch_gap.profiler.commands.shared.options import add_workload, network_of
from epoch_gap.profiler.experiments.prediction import Ratio
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.recording.records import DiscardingSink
from epoch_gap.workloads import loop, progress, registry
from epoch_gap.workloads.cifar10.load import load_cifar10
from epoch_gap.workloads.experiments import find_experiments
from epoch_gap.workloads.intervention import Collation, Workload
from epoch_gap.workloads.isolated import time_variants
from epoch_gap.workloads.presets import PRESETS


def main(words: Sequence[str]) -> int:
    """Print the new variant's time over the present one's, a list. Returns the exit status."""
    return exit_status_of(lambda: _print_ratios(parse(words)))


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The name of an experiment, and a workload."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--framework", required=True)
    parser.add_argument("--fake-costs")
    add_workload(parser)
    return parser.parse_args(words)


def _print_ratios(args: argparse.Namespace) -> int:
    print(json.dumps(measure_ratios(args)))
    return 0


def measure_ratios(args: argparse.Namespace) -> list[float]:
    """The ratios of the experiment `args.name`, whose rule must be `Ratio`."""
    module = find_experiments()[args.name]
    rule = module.EXPERIMENT.prediction
    assert isinstance(rule, Ratio), "only variants have a ratio"
    size = args.batch_size or PRESETS[args.preset].batch_size
    options = registry.Options(
        device=args.device, seed=args.seed, batch_size=size, network=network_of(args), costs=args.fake_costs
    )
    framework = registry.build(args.framework, options)
    data = load_cifar10(args.data, train_limit=2 * size, test_limit=size, mmap=args.mmap, image_size=args.image_size)
    recorder = Recorder(framework.phases, DiscardingSink(), wait=framework.wait)
    collation = Collation(loop.timed_collate(recorder))
    loader = framework.loader(data.x_train, data.y_train, size, False, collation)
    workload = Workload(
        framework=framework,
        progress=progress.Progress(framework.name, None, 1, io.StringIO()),
        recorder=recorder,
        loader=loader,
        collation=collation,
        images=data.x_train,
        labels=data.y_train,
        seed=args.seed,
    )
    plain = framework.loader(data.x_train, data.y_train, size, False, lambda collate: collate)
    return time_variants(getattr(module, rule.isolated), workload, plain, size)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
