"""Options shared by several verbs, with their checks."""

import argparse
import math
from pathlib import Path
from typing import Any

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.arms import BLOCK
from epoch_gap.profiler.machine.allocator import Allocator
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import POLICIES
from epoch_gap.profiler.storage.manifest import DEFAULT_NETWORK, Alternation, Network
from epoch_gap.workloads.architecture import ARCHITECTURES, IMAGE_SIZES, Architecture, find_architecture
from epoch_gap.workloads.data_order import DataOrder
from epoch_gap.workloads.intervention import DELAYABLE
from epoch_gap.workloads.outside_adapters import FORM
from epoch_gap.workloads.presets import PRESETS
from epoch_gap.workloads.registry import FRAMEWORKS, MAX_SEED, is_known


def parse_seed(text: str) -> int:
    """An integer that every random generator accepts as a seed, for argparse."""
    value = int(text)
    if not 0 <= value <= MAX_SEED:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and {MAX_SEED}")
    return value


def parse_positive(text: str) -> int:
    """An integer of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def parse_pairs(text: str) -> int:
    """A number of pairs of processes, at least 2, for argparse."""
    value = parse_positive(text)
    if value < 2:
        raise argparse.ArgumentTypeError("one pair gives no interval; use at least 2")
    return value


def _image_size(text: str) -> int:
    value = int(text)
    if value not in IMAGE_SIZES:
        raise argparse.ArgumentTypeError(f"{value} is not between {IMAGE_SIZES[0]} and {IMAGE_SIZES[-1]}")
    return value


parse_positive.__name__ = parse_seed.__name__ = parse_pairs.__name__ = _image_size.__name__ = "whole number"


def parse_percentage(text: str) -> float:
    """A finite number of at least 0, for argparse."""
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text} is not a percentage of at least 0")
    return value


def parse_delayable(text: str) -> Phase:
    """A phase in which every step can wait, for argparse."""
    if text not in DELAYABLE:
        raise argparse.ArgumentTypeError(f"choose one of {', '.join(DELAYABLE)}, not {text!r}")
    return Phase(text)


def add_runs_dir(parser: argparse.ArgumentParser) -> None:
    """`--runs-dir`"""
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="folder of stored runs (default: runs)")


def add_framework(parser: argparse.ArgumentParser, *, default: str | None = None, help: str | None = None) -> None:
    """`--framework`, the name of a built-in one or of an adapter from outside; required without a default."""
    parser.add_argument(
        "--framework", type=framework_name, required=default is None, default=default, metavar=FRAMEWORK, help=help
    )


def add_network(parser: argparse.ArgumentParser) -> None:
    """`--model` and `--image-size`; `network_of` reads them."""
    default = DEFAULT_NETWORK
    parser.add_argument(
        "--model", choices=ARCHITECTURES, default=default.model, help=f"the network (default: {default.model})"
    )
    parser.add_argument(
        "--image-size",
        type=_image_size,
        default=default.image_size,
        metavar="N",
        help=f"rows and columns of an image (default: {default.image_size}, as they are)",
    )


def network_of(args: argparse.Namespace) -> Network:
    """The network, and the size of its images."""
    return Network(args.model, args.image_size)


def architecture_of(args: argparse.Namespace) -> Architecture:
    """The description of the network."""
    return find_architecture(network_of(args))


def add_workload(parser: argparse.ArgumentParser) -> None:
    """Declare the options of a workload; `workload_arguments` turns them back into a command line."""
    parser.add_argument("--preset", choices=PRESETS, default="quick", help="amount of work (default: quick)")
    parser.add_argument("--device", default="auto", metavar="auto|cpu|gpu|mps|cuda", help="default: auto")
    parser.add_argument("--data", default="auto", metavar="auto|synthetic|PATH", help="default: auto")
    add_network(parser)
    parser.add_argument("--batch-size", type=parse_positive, metavar="N", help="images per step")
    parser.add_argument(
        "--steps", type=parse_positive, metavar="N", help="maximum number of training steps per epoch"
    )
    parser.add_argument(
        "--seconds", type=parse_positive, metavar="N", help="maximum seconds of training and evaluation per epoch"
    )
    parser.add_argument("--epochs", type=parse_positive, metavar="N", help="number of epochs")
    parser.add_argument("--train-limit", type=parse_positive, metavar="N", help="number of training images")
    parser.add_argument("--test-limit", type=parse_positive, metavar="N", help="number of test images")
    parser.add_argument(
        "--fence",
        choices=POLICIES,
        help="steps that wait before each mark (default: alternate for quick, otherwise none)",
    )
    parser.add_argument(
        "--data-order",
        type=DataOrder,
        choices=DataOrder,
        help="who draws the order of the training images (default: shared for quick, otherwise framework)",
    )
    parser.add_argument("--seed", type=parse_seed, default=42, metavar="N", help="random seed (default: 42)")
    parser.add_argument(
        "--checkpoint",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="save the model after each epoch",
    )
    parser.add_argument("--mmap", action=argparse.BooleanOptionalAction, default=False, help="memory-map the data")
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile the training step into one function (MLX, JAX, Keras on JAX)",
    )
    parser.add_argument(
        "--allocator",
        type=Allocator,
        choices=tuple(Allocator),
        default=Allocator.DEFAULT,
        help="keep: the C library keeps freed memory instead of giving it back to the system (default: default)",
    )
    parser.add_argument("--allow-busy", action="store_true", help="run even if another timed run is in progress")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no notes")
    add_runs_dir(parser)


def add_switches(parser: argparse.ArgumentParser) -> None:
    """`--switch`"""
    parser.add_argument(
        "--switch",
        action="append",
        default=[],
        metavar="NAME[=DOSE]",
        help="turn on the intervention of an experiment; may be repeated",
    )


def add_alternation(parser: argparse.ArgumentParser) -> None:
    """`--alternate` and its options; `alternation_of` turns them into what a run stores."""
    parser.add_argument(
        "--alternate",
        action="append",
        type=_switches,
        metavar="NAME[=DOSE],...",
        help="turn interventions on and off within the run, in blocks of steps; repeated: levels in random order",
    )
    parser.add_argument(
        "--alternate-block",
        type=parse_positive,
        default=BLOCK,
        metavar="N",
        help=f"steps of a block (default: {BLOCK})",
    )
    parser.add_argument(
        "--alternate-evaluation",
        action="store_true",
        help="also in the evaluation, batch by batch, for interventions that change it",
    )


def _switches(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in text.split(","))))


def alternation_of(args: argparse.Namespace) -> Alternation | None:
    """What alternates, the level without interventions first; None without `--alternate`.

    Raises UserError for `--alternate-evaluation` alone.
    """
    if not args.alternate:
        if args.alternate_evaluation:
            raise UserError("--alternate-evaluation needs --alternate NAME")
        return None
    return Alternation(
        levels=((), *args.alternate),
        block=args.alternate_block,
        seed=args.seed,
        evaluation=args.alternate_evaluation,
    )


_PASSED_ON = (
    *("preset", "device", "data", "batch_size", "steps", "seconds", "epochs"),
    *("train_limit", "test_limit", "fence", "data_order", "seed", "allocator", "runs_dir", "model", "image_size"),
)
_SWITCHES = ("checkpoint", "mmap", "compile", "allow_busy", "quiet")


def workload_arguments(args: argparse.Namespace, **changes: Any) -> list[str]:
    """The command line that `add_workload` parsed, with `changes` by option name."""
    values = {**vars(args), **changes}
    words = []
    for name in _PASSED_ON:
        if values[name] is not None:
            words += [f"--{name.replace('_', '-')}", str(values[name])]
    for switch in values.get("switch", ()):
        words += ["--switch", switch]
    return words + [f"--{name.replace('_', '-')}" for name in _SWITCHES if values[name]]


def check_no_fixed_length(args: argparse.Namespace) -> None:
    """Raise UserError for an option that rounds, which end by a rule of their own, would not follow."""
    for name in ("steps", "seconds", "epochs"):
        if getattr(args, name) is not None:
            raise UserError(f"--{name}: rounds end by a rule of their own; use --minutes and --repeats")


FRAMEWORK = "|".join((*FRAMEWORKS, FORM))
"""the values of an option that names a framework"""


def framework_name(text: str) -> str:
    """The name of a framework, for argparse; an adapter from outside is imported when it is built."""
    name = text.strip()
    if not is_known(name):
        raise argparse.ArgumentTypeError(f"choose from {', '.join((*FRAMEWORKS, FORM))}, not {text!r}")
    return name


def framework_names(text: str) -> list[str]:
    """Comma-separated names, for argparse."""
    names = [framework_name(name) for name in text.split(",") if name.strip()]
    return names or [framework_name(text)]
