"""The known frameworks and their capabilities. A framework is imported only when it is built."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.rank import Rank
from epoch_gap.profiler.storage.manifest import DEFAULT_NETWORK, Network
from epoch_gap.workloads.architecture import Architecture, find_architecture
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.outside_adapters import FORM, build_adapter, can_compile, is_outside_name, load_class

MLX = ("mlx[cpu] ; sys_platform == 'linux'", "mlx ; sys_platform == 'darwin'")
"""MLX with the backend that computes without Metal"""
MAX_SEED = 2**32 - 1
"""the largest seed that NumPy accepts"""


@dataclass(frozen=True)
class Options:
    """Settings of a framework. Raises UserError for a value that no framework supports."""

    device: str = "auto"
    """auto | cpu | gpu | mps | cuda"""
    seed: int = 42
    """of all random generators"""
    batch_size: int = 128
    """images of a full batch, the unit of scripted costs"""
    network: Network = DEFAULT_NETWORK
    """`--model` and `--image-size`"""
    rank: Rank | None = None
    """the process's place in a distributed training; None: it trains alone"""
    compiled: bool = False
    """compile the training step into one function (`--compile`)"""
    costs: str | None = None
    """scripted costs, PHASE=MILLISECONDS,... per full batch (`--fake-costs`); None: the adapter's default"""
    system: str | None = None
    """scripted system time, PHASE=MILLISECONDS,... (`--fake-system`): a part of the costs"""
    faults: str | None = None
    """scripted page faults, PHASE=NUMBER,... (`--fake-faults`)"""
    lazy: bool = False
    """defer scripted work to the next wait (`--fake-lazy`)"""
    overlap: float = 0.0
    """the part of deferred work that is done before the next wait (`--fake-overlap`)"""
    version: str | None = None
    """the version that the scripted framework states (`--fake-version`); None: the adapter's default"""

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise UserError(f"seed {self.seed} is not between 0 and {MAX_SEED}")
        if self.batch_size < 1:
            raise UserError(f"batch size {self.batch_size} is less than 1")
        find_architecture(self.network)  # refuse what does not exist

    @property
    def architecture(self) -> Architecture:
        """The description of the network."""
        return find_architecture(self.network)


@dataclass(frozen=True)
class Entry:
    """How to build a framework, and the optional settings that it supports."""

    build: Callable[[Options], Framework]
    modules: tuple[str, ...] = ()
    """that the framework consists of"""
    extra: str = ""
    """the extras that install them, if `make setup` does not"""
    build_rank: Callable[[Options, Rank], Framework] | None = None
    """builds it as one rank of a distributed training; None: it cannot be one"""
    launch: Callable[[int], Sequence[str]] = lambda ranks: ()
    """the command that starts so many ranks of the module whose name follows; empty: it cannot train ranks"""
    can_compile: bool = False
    """supports `Options.compiled`"""
    is_scripted: bool = False
    """supports `Options.costs`, `system`, `faults`, `lazy`, `overlap` and `version`"""
    packages: tuple[str, ...] = ()
    """requirements of an environment: the first takes a version, and the others any that fits; empty: none needed"""
    beside: tuple[str, ...] = ()
    """further requirements, which keep their pinned versions"""


def _torch(options: Options) -> Framework:
    from epoch_gap.workloads.adapters.torch_resnet import TorchResNet

    return TorchResNet(options.device, options.seed, options.architecture)


def _torch_rank(options: Options, rank: Rank) -> Framework:
    from epoch_gap.workloads.adapters.torch_ranks import TorchRank

    return TorchRank(options.device, options.seed, rank, options.architecture)


def _torchrun(ranks: int) -> Sequence[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "-m"]


def _lucid(options: Options) -> Framework:
    from epoch_gap.workloads.adapters.lucid_resnet import LucidResNet

    return LucidResNet(options.device, options.seed, options.architecture)


def _mlx(options: Options) -> Framework:
    from epoch_gap.workloads.adapters.mlx_resnet import MlxResNet

    return MlxResNet(options.device, options.seed, options.compiled, options.architecture)


def _jax(options: Options) -> Framework:
    from epoch_gap.workloads.adapters.jax_resnet import JaxResNet

    return _adapt(JaxResNet, "jax", options)


def _keras_torch(options: Options) -> Framework:
    from epoch_gap.workloads.adapters.keras_torch import KerasTorch

    return _adapt(KerasTorch, "keras_torch", options)


def _keras_jax(options: Options) -> Framework:
    from epoch_gap.workloads.adapters.keras_jax import KerasJax

    return _adapt(KerasJax, "keras_jax", options)


def _mlx_rank(options: Options, rank: Rank) -> Framework:
    from epoch_gap.workloads.adapters.mlx_ranks import MlxRank

    if options.compiled:
        raise UserError("--compile: the communication of ranks cannot be told from a compiled step")
    return MlxRank(options.device, options.seed, rank, options.architecture)


def _mlx_launch(ranks: int) -> Sequence[str]:
    launcher = [sys.executable, "-m", "epoch_gap.workloads.adapters.mlx_launch"]
    return [*launcher, "--backend", "ring", "--repeat-hosts", str(ranks), "--", sys.executable, "-m"]


def _fake(options: Options) -> Framework:
    from epoch_gap.workloads.adapters.fake import DEFAULT_COSTS, DEFAULT_VERSION, Fake

    if options.device not in ("auto", "cpu"):
        raise UserError(f"fake has no device {options.device!r}; choose auto or cpu")
    costs = DEFAULT_COSTS if options.costs is None else options.costs
    return Fake(
        options.seed,
        options.batch_size,
        costs,
        options.lazy,
        system=options.system or "",
        faults=options.faults or "",
        overlap=options.overlap,
        version=options.version or DEFAULT_VERSION,
        architecture=options.architecture,
    )


FRAMEWORKS: dict[str, Entry] = {
    "lucid": Entry(_lucid, ("lucid",), packages=("lucid-dl",), beside=MLX),
    "torch": Entry(_torch, ("torch",), build_rank=_torch_rank, launch=_torchrun, packages=("torch", "torchvision")),
    "mlx": Entry(
        _mlx, ("mlx",), build_rank=_mlx_rank, launch=_mlx_launch, can_compile=True, packages=("mlx", MLX[0])
    ),
    "jax": Entry(_jax, ("jax",), "jax", can_compile=True, packages=("jax",)),
    "keras_torch": Entry(_keras_torch, ("keras", "torch"), "keras,torch", packages=("keras",), beside=("torch",)),
    "keras_jax": Entry(
        _keras_jax, ("keras", "jax"), "keras,jax", can_compile=True, packages=("keras",), beside=("jax",)
    ),
    "fake": Entry(_fake, is_scripted=True),
}
"""the built-in ones; `is_known` accepts others, too"""


def is_known(name: str) -> bool:
    """Whether `name` is a built-in framework, or may be an adapter from outside the project. Imports nothing."""
    return name in FRAMEWORKS or is_outside_name(name)


def find_entry(name: str) -> Entry:
    """The entry of a built-in framework that is installed, or of an adapter from outside, which is imported.

    Raises UserError if there is none.
    """
    if name in FRAMEWORKS:
        return _installed(name, FRAMEWORKS[name])
    if not is_outside_name(name):
        raise UserError(f"no framework {name!r}; choose one of: {', '.join(FRAMEWORKS)}, or an adapter as {FORM}")
    kind = load_class(name)
    build = partial(_adapt, kind, name)
    return Entry(build, can_compile=can_compile(kind))


def _adapt(kind: type, name: str, options: Options) -> Framework:
    return build_adapter(kind, name, options.device, options.seed, options.compiled, options.architecture)


def _installed(name: str, entry: Entry) -> Entry:
    if missing := [module for module in entry.modules if find_spec(module) is None]:
        target, extra = ("frameworks", entry.extra) if entry.extra else ("setup", name)
        remedy = f"`make {target}` or pip install 'epoch-gap[{extra}]'"
        raise UserError(f"{name}: {' and '.join(missing)} not installed; {remedy} installs it")
    return entry


def source_folders(name: str) -> tuple[str, ...]:
    """Parts of the paths of the framework's own source files; those of an adapter from outside are not known."""
    modules = FRAMEWORKS[name].modules if name in FRAMEWORKS else ()
    return tuple(f"{module}/" for module in modules)


def is_scripted(name: str) -> bool:
    """Whether the framework's times are a script. An adapter from outside computes. Imports nothing."""
    return name in FRAMEWORKS and FRAMEWORKS[name].is_scripted


def launch_command(name: str, ranks: int) -> list[str]:
    """The command that starts this program on so many ranks; its own words follow.

    Raises UserError for a framework that cannot train ranks.
    """
    command = FRAMEWORKS[name].launch(ranks)
    if not command:
        raise UserError(f"{name} cannot train {ranks} ranks; frameworks that can: {_able_to_train_ranks()}")
    return [*command, "epoch_gap.profiler"]


def _able_to_train_ranks() -> str:
    return ", ".join(name for name, entry in FRAMEWORKS.items() if entry.build_rank)


def build(name: str, options: Options) -> Framework:
    """Build the framework `name`.

    Raises UserError for an unknown name, for an option, device or version that the framework does not support, and
    for a network with another number of parameters than the described one.
    """
    framework = create(name, options)
    parameters, expected = framework.parameter_count(), options.architecture.parameter_count()
    if parameters != expected:
        title = options.architecture.title
        raise UserError(f"{name} built a network of {parameters} parameters; {title} has {expected}")
    return framework


def create(name: str, options: Options) -> Framework:
    """Build the framework `name`, whatever the size of its network. Raises UserError as `build` does otherwise."""
    entry = find_entry(name)
    _refuse_unsupported(name, entry, options)
    if options.rank is not None and entry.build_rank is not None:
        return entry.build_rank(options, options.rank)
    return entry.build(options)


def _refuse_unsupported(name: str, entry: Entry, options: Options) -> None:
    if options.rank is not None and options.rank.world_size > 1 and not (entry.build_rank or entry.is_scripted):
        ranks = options.rank.world_size
        raise UserError(f"{name} cannot train {ranks} ranks; frameworks that can: {_able_to_train_ranks()}")
    if options.compiled and not entry.can_compile:
        able = ", ".join(other for other, e in FRAMEWORKS.items() if e.can_compile)
        raise UserError(f"--compile: {name} cannot compile its step; frameworks that can: {able}")
    script = {
        "--fake-costs": options.costs is not None,
        "--fake-system": options.system is not None,
        "--fake-faults": options.faults is not None,
        "--fake-lazy": options.lazy,
        "--fake-overlap": options.overlap > 0,
        "--fake-version": options.version is not None,
    }
    if any(script.values()) and not entry.is_scripted:
        scripted = ", ".join(other for other, e in FRAMEWORKS.items() if e.is_scripted)
        option = next(option for option, is_set in script.items() if is_set)
        raise UserError(f"{option}: {name} has no scripted costs; frameworks that have them: {scripted}")
