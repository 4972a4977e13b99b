"""Train one framework in this process and store every step; the last line of stdout is the run's directory."""

import argparse
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from functools import partial
from typing import Any

from epoch_gap.profiler.analysis.stopping import StoppingRule
from epoch_gap.profiler.analysis.sufficiency import Sufficiency
from epoch_gap.profiler.command_name import command_name
from epoch_gap.profiler.commands.shared.exit_status import TERMINATED
from epoch_gap.profiler.commands.shared.options import (
    add_alternation,
    add_framework,
    add_switches,
    add_workload,
    alternation_of,
    network_of,
)
from epoch_gap.profiler.commands.shared.printing import warn
from epoch_gap.profiler.commands.shared.turns import Turns
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.allocator import check_allocator
from epoch_gap.profiler.machine.canary import read_machine, rss_bytes
from epoch_gap.profiler.machine.environment import read_commit, read_environment
from epoch_gap.profiler.machine.rank import Rank, read_rank, shared_session
from epoch_gap.profiler.machine.run_lock import RunLock, hold_run_lock
from epoch_gap.profiler.machine.usage import read_usage, usage_cost_ns
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import POLICIES, ends_asrun_block
from epoch_gap.profiler.recording.recorder import Recorder, mark_cost_ns
from epoch_gap.profiler.storage.final_status import store_final_status
from epoch_gap.profiler.storage.manifest import Config, DataInfo, DataKind, EpochSize, FrameworkInfo, Manifest
from epoch_gap.profiler.storage.writer import RunWriter, create_run
from epoch_gap.workloads import loop, progress, registry
from epoch_gap.workloads.adapters.fake import DEFAULT_COSTS
from epoch_gap.workloads.alternating import Alternating, check_alternation
from epoch_gap.workloads.cifar10.load import FULL_SIZE, Cifar10, load_cifar10
from epoch_gap.workloads.cifar10.resized import describe_image_clocks, describe_images
from epoch_gap.workloads.data_order import DataOrder, describe_clocks, describe_order, own_loader, share_order
from epoch_gap.workloads.distributed import Distributed, SharedStop, share_of
from epoch_gap.workloads.experiments import (
    apply_switches,
    check_switches,
    describe_switch_clocks,
    describe_switches,
)
from epoch_gap.workloads.framework import Batch, Framework, WrapCollate
from epoch_gap.workloads.intervention import Collation, Workload
from epoch_gap.workloads.optimizer import ADAM
from epoch_gap.workloads.presets import PRESETS, Preset


class Terminated(KeyboardInterrupt):
    """SIGTERM: like Ctrl-C, with its own exit status."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_framework(parser)
    add_workload(parser)
    add_switches(parser)
    add_alternation(parser)
    parser.add_argument("--label", default="", help="name of this configuration, shown in place of the framework's")
    parser.add_argument(
        "--collectives",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="of a rank of a distributed training: time every collective through a hook (default)",
    )
    parser.add_argument("--session", default="", help=argparse.SUPPRESS)
    parser.add_argument("--turn", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--order", default="", help=argparse.SUPPRESS)
    parser.add_argument("--round", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    parser.add_argument("--turns", type=_descriptors, metavar="READ,WRITE", help=argparse.SUPPRESS)
    parser.add_argument("--data-warning", default="", help=argparse.SUPPRESS)
    script = parser.add_argument_group("the scripted framework, --framework fake")
    script.add_argument("--fake-costs", metavar="PHASE=MS,...", help=f"default: {DEFAULT_COSTS}")
    script.add_argument("--fake-system", metavar="PHASE=MS,...", help="the part of the costs that is system time")
    script.add_argument("--fake-faults", metavar="PHASE=N,...", help="page faults per full batch")
    script.add_argument("--fake-version", metavar="VERSION", help="the version that it states (default: 1)")
    script.add_argument("--fake-lazy", action="store_true", help="defer forward and backward to the next wait")
    script.add_argument(
        "--fake-overlap",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="the part of deferred work that is done while the program does something else",
    )


def _descriptors(text: str) -> tuple[int, int]:
    """The file descriptors of two pipes, for argparse."""
    commands, reports = text.split(",")
    return int(commands), int(reports)


def _share(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and 1")
    return value


def execute(args: argparse.Namespace) -> int:
    """Check all input, then create the run and train. SIGTERM ends it like Ctrl-C."""
    try:
        with _terminate_as_interrupt():
            return _execute(args)
    except Terminated:
        return TERMINATED


def _execute(args: argparse.Namespace) -> int:
    check_allocator(args.allocator)
    rank = read_rank()
    args.session = args.session or shared_session() or ""
    args.quiet = args.quiet or not _speaks(rank)
    session = args.cell or args.session or secrets.token_hex(4)  # cells exclude each other, in one session too
    with hold_run_lock(session, allow_others=args.allow_busy) as lock:  # before anything slow
        preset = _preset(args)
        try:
            framework = registry.build(
                args.framework,
                registry.Options(
                    device=args.device,
                    seed=args.seed,
                    batch_size=preset.batch_size,
                    network=network_of(args),
                    rank=rank,
                    compiled=args.compile,
                    costs=args.fake_costs,
                    system=args.fake_system,
                    faults=args.fake_faults,
                    lazy=args.fake_lazy,
                    overlap=args.fake_overlap,
                    version=args.fake_version,
                ),
            )
            _check_checkpoint(args, framework)
            check_switches(args.switch, framework)
            check_alternation(alternation_of(args), framework, preset.epochs, preset.fence)
            data = _load(args, preset)
        except KeyboardInterrupt:
            print("interrupted before the first step: nothing was stored", file=sys.stderr)
            raise
        return _store(args, preset, framework, data, lock, rank)


def _check_checkpoint(args: argparse.Namespace, framework: Framework) -> None:
    if args.checkpoint and Phase.CHECKPOINT not in framework.phases:
        raise UserError(f"--checkpoint: {framework.title} writes none: its adapter does not support it")


def _speaks(rank: Rank | None) -> bool:
    """Whether this process prints: of several ranks, only the first."""
    return rank is None or rank.rank == 0


def _store(
    args: argparse.Namespace,
    preset: Preset,
    framework: Framework,
    data: Cifar10,
    lock: RunLock,
    rank: Rank | None,
) -> int:
    """Train with every step stored, however the training ends."""
    stream_name, stream = progress.stream(args.quiet or args.turns is not None)
    writer = create_run(args.runs_dir, _build_manifest(args, preset, framework, data, stream_name, rank))
    try:
        with store_final_status(writer):
            if data.warning and args.turns is None and _speaks(rank):
                warn(data.warning)
            if warning := data.warning or args.data_warning:
                writer.event("data", warning)
            _train(args, preset, framework, data, writer, stream, lock)
    except KeyboardInterrupt:
        if _speaks(rank):
            shows = f"{command_name()} {'report' if rank is None else 'ranks'} {writer.path}"
            print(f"interrupted: the steps so far are stored; `{shows}` shows them", file=sys.stderr)
        raise
    finally:
        if _speaks(rank):
            print(writer.path)
    return 0


def _train(
    args: argparse.Namespace,
    preset: Preset,
    framework: Framework,
    data: Cifar10,
    writer: RunWriter,
    stream: Any,
    lock: RunLock,
) -> None:
    schedule = POLICIES[preset.fence]
    recorder = Recorder(
        framework.phases,
        writer,
        schedule=schedule,
        wait=framework.wait,
        read_machine=lambda: replace(read_machine(lock.count_other_sessions), turn=turns.number if turns else 0),
        rss_bytes=rss_bytes,
        read_usage=framework.scripted_usage or read_usage,
        charged_to=framework.charged_to,
    )
    size, ranks = preset.batch_size, _world_size(framework)
    full_steps = share_of(FULL_SIZE[0], ranks) / size
    steps = -(-share_of(len(data.y_train), ranks) // size)
    planned = min(steps, preset.steps or steps)
    is_lazy = Phase.FLUSH in framework.phases and preset.fence == "alternate"
    may_end = partial(ends_asrun_block, schedule) if is_lazy else lambda steps: True
    turns = _take_turns(args.turns, Sufficiency(size, schedule, is_lazy), lambda: recorder.take_reading())
    stopping: StoppingRule | SharedStop
    if isinstance(framework, Distributed):
        stopping = SharedStop(framework, preset.steps, preset.seconds)
        if args.collectives:
            framework.watch_collectives(recorder)
    else:
        stopping = StoppingRule(size, FULL_SIZE[0], preset.steps, preset.seconds, preset.share, may_end)
    bar = progress.Progress(framework.name, None if preset.seconds else planned, full_steps, stream)
    collation = Collation(loop.timed_collate(recorder))
    train_loader = _train_loader(framework, data, preset, args.seed, collation)
    workload = Workload(
        framework=framework,
        progress=bar,
        recorder=recorder,
        loader=own_loader(train_loader),
        collation=collation,
        images=data.x_train,
        labels=data.y_train,
        seed=args.seed,
    )
    undo = apply_switches(args.switch, workload)
    plan = turns or stopping
    alternating = Alternating(alternation_of(args), workload, plan)
    try:
        if turns:
            turns.wait_for_first_turn()
        loop.train(
            framework,
            train_loader,
            framework.loader(data.x_test, data.y_test, size, False, lambda collate: collate),
            recorder,
            bar,
            epochs=preset.epochs,
            should_stop=alternating,
            evaluation=alternating,
            checkpoint_folder=writer.path if args.checkpoint else None,
        )
        writer.update({"stopped": plan.reason})
        if not args.quiet and turns is None:
            batches = -(-share_of(len(data.y_test), ranks) // size)
            print(f"{framework.name}: training ended because {plan.reason}", file=sys.stderr)
            if recorder.count("evaluate") < batches:
                of = f"{recorder.count('evaluate')} of {batches} test batches"
                print(f"{framework.name}: evaluated on {of}, because its time was spent", file=sys.stderr)
        if isinstance(framework, Distributed):
            framework.leave()
    finally:
        alternating.turn_off()
        undo()
        recorder.flush()


def _world_size(framework: Framework) -> int:
    """The ranks that share the images: the scripted fake reads all of them in every rank."""
    return framework.world_size if isinstance(framework, Distributed) else 1


def _take_turns(
    descriptors: tuple[int, int] | None, sufficiency: Sufficiency, between_turns: Callable[[], None]
) -> Turns | None:
    """None unless a session has given this process its pipes."""
    if descriptors is None:
        return None
    commands, reports = descriptors
    return Turns(os.fdopen(commands), os.fdopen(reports, "w"), sufficiency, between_turns)


def _train_loader(
    framework: Framework, data: Cifar10, preset: Preset, seed: int, wrap_collate: WrapCollate
) -> Iterable[Batch]:
    load = partial(framework.loader, data.x_train, data.y_train, preset.batch_size)
    if preset.data_order is DataOrder.FRAMEWORK:
        return load(True, wrap_collate)
    return share_order(lambda order: load(False, wrap_collate, order), len(data.y_train), seed)


def _preset(args: argparse.Namespace) -> Preset:
    """The preset with the command line's changes; a number of steps removes the other limits."""
    preset = PRESETS[args.preset]
    options = {f.name: getattr(args, f.name, None) for f in fields(Preset)}
    changes = {name: value for name, value in options.items() if value is not None}
    if "steps" in changes or args.turns is not None:
        changes = {"seconds": None, "share": None, **changes}
    return replace(preset, **changes)


def _load(args: argparse.Namespace, preset: Preset) -> Cifar10:
    data = load_cifar10(
        args.data,
        train_limit=preset.train_limit,
        test_limit=preset.test_limit,
        mmap=args.mmap,
        image_size=args.image_size,
    )
    if preset.batch_size > len(data.y_train):
        raise UserError(f"--batch-size {preset.batch_size} is more than the {len(data.y_train)} training images")
    return data


def _build_manifest(
    args: argparse.Namespace,
    preset: Preset,
    framework: Framework,
    data: Cifar10,
    progress_stream: str,
    rank: Rank | None,
) -> Manifest:
    optimizer = {"parameters": framework.parameter_count(), "optimizer": str(ADAM)}
    images = None if registry.is_scripted(args.framework) else data.x_train  # a script reads no images
    order, ranks = preset.data_order, _world_size(framework)
    clocks = {
        **framework.clocks,
        **describe_image_clocks(images),
        **describe_clocks(order),
        **describe_switch_clocks(args.switch, framework),
    }
    return Manifest(
        config=Config(
            framework=args.framework,
            label=args.label,
            preset=args.preset,
            seed=args.seed,
            checkpoint=args.checkpoint,
            mmap=args.mmap,
            compile=args.compile,
            allocator=args.allocator,
            switches=tuple(args.switch),
            alternate=alternation_of(args),
            model=args.model,
            image_size=args.image_size,
            **asdict(preset),
        ),
        session=args.session,
        order=tuple(args.order.split(",")) if args.order else (),
        turn=args.turn,
        round=args.round,
        cell=args.cell,
        framework=FrameworkInfo(
            name=framework.name,
            title=framework.title,
            version=framework.version,
            installed_commit=read_commit(framework.distribution),
            device=framework.device,
            phases=tuple(sorted(framework.phases)),
            clocks={str(phase): text for phase, text in clocks.items()},
            conditions={
                **optimizer,
                **({} if framework.layer_timings else {"layer_timings": False}),
                **framework.describe(),
                **describe_images(images),
                **describe_order(order, args.seed),
                **describe_switches(args.switch, framework),
            },
        ),
        data=DataInfo(
            kind=DataKind(data.kind),
            source=data.source,
            sha256=data.sha256,
            train_images=share_of(len(data.y_train), ranks),
            test_images=share_of(len(data.y_test), ranks),
        ),
        full_epoch=EpochSize(train_images=share_of(FULL_SIZE[0], ranks), test_images=share_of(FULL_SIZE[1], ranks)),
        mark_cost_ns=mark_cost_ns(),
        usage_cost_ns=usage_cost_ns(),
        environment=read_environment(),
        rank=rank,
        progress=progress_stream,
    )


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    def terminate(signum: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
