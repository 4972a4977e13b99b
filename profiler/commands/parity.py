"""Compare what two frameworks compute: the same weights, batches and schedule, layer by layer, for a few steps."""

import argparse
import json
import secrets
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from epoch_gap.profiler.commands.shared.options import (
    add_network,
    add_runs_dir,
    framework_names,
    network_of,
    parse_positive,
    parse_seed,
)
from epoch_gap.profiler.commands.shared.output_folder import REPORTS, prepare_folder, write_files
from epoch_gap.profiler.commands.shared.printing import ProgressLine, warn
from epoch_gap.profiler.commands.shared.rounding_runs import losses_by_threads
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.environment import read_environment
from epoch_gap.profiler.machine.run_lock import hold_run_lock
from epoch_gap.profiler.parity.definitions import definition_differences
from epoch_gap.profiler.parity.result import (
    FILE,
    Parity,
    ParityData,
    RoundedRun,
    Side,
    finite_or_none,
    parity_from_json,
    parity_to_text,
)
from epoch_gap.profiler.storage.artifacts import read_json_artifact, store_artifacts
from epoch_gap.profiler.storage.manifest import DataKind, environment_to_json
from epoch_gap.reports.page.parity_page import PAGE, PICTURE, render_parity
from epoch_gap.reports.terminal.parity import parity_tables
from epoch_gap.workloads import registry
from epoch_gap.workloads.cifar10.load import Cifar10, load_cifar10, resolve_source
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.parity_steps import (
    Batches,
    Lockstep,
    parity_access,
    read_definitions,
    read_schedule,
    take_losses,
    train_in_lockstep,
)

OUT = REPORTS / "parity"
STEPS, BATCH_SIZE, TOLERANCE = 5, 32, 1e-4
ROUNDINGS = 3
"""references in another order of summation, in this process"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="show a stored parity.json again")
    parser.add_argument(
        "--frameworks", type=_pair, default=["torch", "lucid"], metavar="A,B", help="default: torch,lucid"
    )
    parser.add_argument(
        "--devices", type=_devices, default=["auto", "auto"], metavar="A,B", help="default: auto,auto"
    )
    add_network(parser)
    parser.add_argument("--steps", type=parse_positive, default=STEPS, metavar="N", help=f"default: {STEPS}")
    parser.add_argument(
        "--batch-size", type=parse_positive, default=BATCH_SIZE, metavar="N", help=f"default: {BATCH_SIZE}"
    )
    parser.add_argument("--data", default="auto", metavar="auto|synthetic|PATH", help="default: auto")
    parser.add_argument("--seed", type=parse_seed, default=42, metavar="N", help="random seed (default: 42)")
    parser.add_argument(
        "--tolerance",
        type=_tolerance,
        default=TOLERANCE,
        metavar="X",
        help=f"relative difference of outputs from which a layer is named (default: {TOLERANCE:g})",
    )
    parser.add_argument("--allow-busy", action="store_true", help="run even if a timed run is in progress")
    parser.add_argument("--quiet", action="store_true", help="no notes")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"default: {OUT}")
    parser.add_argument("--losses-only", action="store_true", help=argparse.SUPPRESS)
    add_runs_dir(parser)


def _pair(text: str) -> list[str]:
    return _two(framework_names(text), text)


def _devices(text: str) -> list[str]:
    return _two([name.strip() for name in text.split(",")], text)


def _two(names: list[str], text: str) -> list[str]:
    if len(names) != 2:
        raise argparse.ArgumentTypeError(f"two are compared, not {text!r}")
    return names


def _tolerance(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


_tolerance.__name__ = "number"


def execute(args: argparse.Namespace) -> int:
    """Train both frameworks in lockstep, store the result, and write its page; or show a stored result."""
    if args.file is not None:
        return _show(parity_from_json(read_json_artifact(args.file)), args.out)
    with hold_run_lock(secrets.token_hex(4), allow_others=args.allow_busy or args.losses_only):
        if args.losses_only:
            print(json.dumps(take_losses(_build(args, 0), _load(args, args.data))))
            return 0
        prepare_folder(args.out, [PAGE, PICTURE, FILE])  # refuse a wrong folder before the work
        parity = _check(args)
    name = f"parity-{parity.reference.name}-{parity.other.name}"
    folder = store_artifacts(args.runs_dir, name, {FILE: parity_to_text(parity).removesuffix("\n")})
    _show(parity, args.out)
    print(folder / FILE)
    return 0


def _show(parity: Parity, out: Path) -> int:
    prepare_folder(out, [PAGE, PICTURE, FILE])
    write_files(out, {**render_parity(parity), FILE: parity_to_text(parity)})
    print(parity_tables(parity))
    print(f"\npage: {out / PAGE}")
    return 0


def _build(args: argparse.Namespace, side: int) -> Framework:
    options = registry.Options(
        device=args.devices[side], seed=args.seed, batch_size=args.batch_size, network=network_of(args)
    )
    return registry.build(args.frameworks[side], options)


def _load(args: argparse.Namespace, data: str) -> Batches:
    needed = args.batch_size * args.steps
    loaded = load_cifar10(data, train_limit=needed, test_limit=1, image_size=args.image_size)
    if len(loaded.y_train) < needed:
        raise UserError(f"{needed} images are needed, but the data have {len(loaded.y_train)}; lower --steps")
    return Batches(loaded, args.batch_size, args.steps, args.seed)


def _check(args: argparse.Namespace) -> Parity:
    reference, other = _build(args, 0), _build(args, 1)
    for framework in (reference, other):
        parity_access(framework)  # refuse one without access before the work
    source, warning = resolve_source(args.data)
    if warning:
        warn(warning)
    batches = _load(args, source)
    weights = reference.read_weights()
    found = [read_definitions(framework) for framework in (reference, other)]
    rounded = [_build(args, 0) for _ in range(ROUNDINGS)]
    progress = ProgressLine(sys.stderr, args.quiet)
    lockstep = train_in_lockstep(reference, other, rounded, batches, args.tolerance, partial(_note, progress))
    progress.close()
    definitions = [[*of_side, *read_schedule(f)] for of_side, f in zip(found, (reference, other), strict=True)]
    return Parity(
        reference=_side(reference, lockstep.reference),
        other=_side(other, lockstep.other),
        rounded=(*_renumbered(lockstep), *_threaded(args, source)),
        data=_describe_data(batches.data),
        batch_size=args.batch_size,
        network=network_of(args),
        seed=args.seed,
        tolerance=args.tolerance,
        definitions=tuple(definition_differences(definitions[0], definitions[1], weights)),
        transposed=lockstep.transposed,
        environment=environment_to_json(read_environment()),
        traces=lockstep.traces,
    )


def _note(progress: ProgressLine, lockstep: Lockstep) -> None:
    losses = f"{lockstep.reference[-1]:.6f} and {lockstep.other[-1]:.6f}"
    progress(f"step {len(lockstep.reference)}: losses {losses}")


def _side(framework: Framework, losses: Sequence[float]) -> Side:
    return Side(
        name=framework.name,
        title=framework.title,
        version=framework.version,
        device=framework.device,
        losses=finite_or_none(losses),
    )


def _describe_data(data: Cifar10) -> ParityData:
    return ParityData(kind=DataKind(data.kind), source=data.source, sha256=data.sha256)


def _renumbered(lockstep: Lockstep) -> list[RoundedRun]:
    return [
        RoundedRun(label=f"channels renumbered, images reversed ({n})", losses=finite_or_none(losses))
        for n, losses in enumerate(lockstep.rounded, start=1)
    ]


def _threaded(args: argparse.Namespace, source: str) -> list[RoundedRun]:
    """The reference with another number of threads, in fresh processes."""
    words = ["--frameworks", ",".join(args.frameworks), "--devices", ",".join(args.devices), "--data", source]
    words += ["--steps", str(args.steps), "--batch-size", str(args.batch_size), "--seed", str(args.seed)]
    words += ["--model", args.model, "--image-size", str(args.image_size)]
    return [
        RoundedRun(label=f"{n} thread{'s' * (n > 1)}", losses=finite_or_none(losses), threads=n)
        for n, losses in losses_by_threads(words).items()
    ]
