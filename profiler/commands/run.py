"""Train one framework in this process and store every step; the last line of stdout is the run's directory."""

import argparse
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from functools import partial
from typing import Any

from epoch_gap.profiler.analysis.stopping import Sample
from epoch_gap.profiler.commands.exit_status import TERMINATED
from epoch_gap.profiler.commands.options import add_workload
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.instrument import ending
from epoch_gap.profiler.machine import canary, environment
from epoch_gap.profiler.machine import run_lock as busy
from epoch_gap.profiler.machine.run_lock import Presence
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import POLICIES, ends_asrun_block
from epoch_gap.profiler.recording.recorder import Recorder, mark_cost_ns
from epoch_gap.profiler.storage import store
from epoch_gap.workloads import loop, progress, registry, resnet18
from epoch_gap.workloads.adapters.fake import DEFAULT_COSTS
from epoch_gap.workloads.cifar10.load import FULL_SIZE, Cifar10, load_cifar10
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.presets import PRESETS, Preset


class Terminated(KeyboardInterrupt):
    """SIGTERM: like Ctrl-C, with the exit status of its own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--framework", choices=registry.FRAMEWORKS, required=True)
    add_workload(parser)
    parser.add_argument("--label", default="", help="a name for this configuration, shown beside the framework's")
    parser.add_argument("--session", default="", help=argparse.SUPPRESS)
    parser.add_argument("--turn", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--order", default="", help=argparse.SUPPRESS)
    parser.add_argument("--data-warning", default="", help=argparse.SUPPRESS)
    script = parser.add_argument_group("the scripted framework, --framework fake")
    script.add_argument("--fake-costs", default=DEFAULT_COSTS, metavar="PHASE=MS,...", help="default: %(default)s")
    script.add_argument("--fake-lazy", action="store_true", help="forward and backward are done at the next wait")


def execute(args: argparse.Namespace) -> int:
    """Check everything that can be checked, then create the run and train. SIGTERM ends it like Ctrl-C."""
    try:
        with _terminate_as_interrupt():
            return _execute(args)
    except Terminated:
        return TERMINATED


def _execute(args: argparse.Namespace) -> int:
    session = args.session or secrets.token_hex(4)
    with busy.present(session, allow_others=args.allow_busy) as presence:  # before anything that costs time
        preset = _preset(args)
        try:
            framework = registry.build(
                args.framework, args.device, args.seed,
                batch_size=preset.batch_size, costs=args.fake_costs, lazy=args.fake_lazy, compiled=args.compile,
            )  # fmt: skip
            data = _load(args, preset)
        except KeyboardInterrupt:
            print("interrupted before the first step: nothing was stored", file=sys.stderr)
            raise
        return _store(args, preset, framework, data, presence)


def _store(args: argparse.Namespace, preset: Preset, framework: Framework, data: Cifar10, presence: Presence) -> int:
    """Train, with every step stored, whatever ends it."""
    stream_name, stream = progress.stream(args.quiet)
    manifest = _manifest(args, preset, framework, data) | {"progress": stream_name}
    writer = store.create(args.runs_dir, framework.name, framework.device, manifest)
    try:
        with ending(writer):
            if data.warning:
                print(f"warning: {data.warning}", file=sys.stderr)
            if warning := data.warning or args.data_warning:
                writer.event("data", warning)
            _train(args, preset, framework, data, writer, stream, presence)
    except KeyboardInterrupt:
        shows = f"python -m profiler report {writer.path}"
        print(f"interrupted: the steps so far are stored; `{shows}` shows them", file=sys.stderr)
        raise
    finally:
        print(writer.path)
    return 0


def _train(
    args: argparse.Namespace,
    preset: Preset,
    framework: Framework,
    data: Cifar10,
    writer: store.RunWriter,
    stream: Any,
    presence: Presence,
) -> None:
    schedule = POLICIES[preset.fence]
    recorder = Recorder(
        framework.phases,
        writer,
        schedule=schedule,
        wait=framework.wait,
        look=lambda: canary.read(presence.others),
        rss_bytes=canary.rss_bytes,
        charged_to=framework.charged_to,
    )
    around = loop.timed_collate(recorder)
    size = preset.batch_size
    full_steps = FULL_SIZE[0] / size
    steps = -(-len(data.y_train) // size)
    planned = min(steps, preset.steps or steps)
    lazy = Phase.FLUSH in framework.phases and preset.fence == "alternate"
    may_end = partial(ends_asrun_block, schedule) if lazy else lambda steps: True
    sample = Sample(size, FULL_SIZE[0], preset.steps, preset.seconds, preset.share, may_end)
    bar = progress.Progress(framework.name, None if preset.seconds else planned, full_steps, stream)
    try:
        loop.train(
            framework,
            framework.loader(data.x_train, data.y_train, size, True, around),
            framework.loader(data.x_test, data.y_test, size, False, lambda collate: collate),
            recorder,
            bar,
            epochs=preset.epochs,
            enough=sample,
            checkpoint_folder=writer.path if args.checkpoint else None,
        )
        writer.update({"stopped": sample.reason})
        if not args.quiet:
            print(f"{framework.name}: training ended because {sample.reason}", file=sys.stderr)
    finally:
        recorder.flush()


def _preset(args: argparse.Namespace) -> Preset:
    """The preset with what the command line says differently; asking for steps lifts the other limits."""
    preset = PRESETS[args.preset]
    given = {f.name: getattr(args, f.name, None) for f in fields(Preset)}
    changes = {name: value for name, value in given.items() if value is not None}
    if "steps" in changes:
        changes = {"seconds": None, "share": None, **changes}
    return replace(preset, **changes)


def _load(args: argparse.Namespace, preset: Preset) -> Cifar10:
    data = load_cifar10(args.data, train_limit=preset.train_limit, test_limit=preset.test_limit, mmap=args.mmap)
    if preset.batch_size > len(data.y_train):
        raise UserError(f"--batch-size {preset.batch_size} is more than the {len(data.y_train)} training images")
    return data


def _manifest(args: argparse.Namespace, preset: Preset, framework: Framework, data: Cifar10) -> dict[str, Any]:
    return {
        "config": {
            "framework": args.framework, "label": args.label, "preset": args.preset, "seed": args.seed,
            "checkpoint": args.checkpoint, "mmap": args.mmap, "compile": args.compile, **asdict(preset),
        },
        "session": args.session,
        "order": args.order.split(",") if args.order else [],
        "turn": args.turn,
        "framework": {
            "name": framework.name, "title": framework.title, "version": framework.version,
            "device": framework.device, "phases": sorted(framework.phases), "clocks": framework.clocks,
            "parameters": framework.parameter_count(), "optimizer": str(resnet18.ADAM), **framework.describe(),
        },
        "data": {
            "kind": data.kind, "source": data.source, "sha256": data.sha256,
            "train_images": len(data.y_train), "test_images": len(data.y_test),
        },
        "full_epoch": {"train_images": FULL_SIZE[0], "test_images": FULL_SIZE[1]},
        "mark_cost_ns": mark_cost_ns(),
        "environment": environment.collect(),
    }  # fmt: skip


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    def terminate(signum: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
