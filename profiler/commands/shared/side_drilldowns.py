"""Time the layers and operators of both sides of a comparison, each in a process of its own interpreter."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.drilldown.layers import LAYERS, OPERATORS, Drilldown, layers_from_json
from epoch_gap.profiler.drilldown.matching import explains
from epoch_gap.profiler.drilldown.sides import SideDrilldowns
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.allocator import Allocator
from epoch_gap.profiler.storage.artifacts import read_json_artifact
from epoch_gap.profiler.storage.manifest import DataKind, Manifest
from epoch_gap.workloads import registry


def run_layers(python: str, words: Sequence[str]) -> tuple[int, str]:
    """The exit status of the verb `layers` in a process of the interpreter `python`, and its output."""
    command = [python, "-m", "epoch_gap.profiler", "layers", "--operators", *words]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    return result.returncode, result.stdout


def time_sides(sides: Sequence[Subject], pythons: Sequence[str], runs_dir: Path, data: str = "") -> SideDrilldowns:
    """The drill-downs of A and B, stored beside the runs in `runs_dir`.

    `data` is as for `--data`; by default, that of the runs. A side that cannot be timed leaves a problem in place of
    all drill-downs: one side alone explains nothing.
    """
    layers: list[Drilldown] = []
    operators: list[Drilldown] = []
    problems: list[str] = []
    for name, subject, python in zip("AB", sides, pythons, strict=True):
        try:
            of_layers, of_operators = _time_side(subject.manifest, python, runs_dir, data)
        except UserError as error:
            problems.append(f"{name}: {error}")
        else:
            layers.append(of_layers)
            operators.append(of_operators)
    if problems:
        return SideDrilldowns(problems=tuple(problems))
    return SideDrilldowns((layers[0], layers[1]), (operators[0], operators[1]))


def _time_side(manifest: Manifest, python: str, runs_dir: Path, data: str) -> tuple[Drilldown, Drilldown]:
    """The layers and the operators. Raises UserError."""
    if manifest.data.kind is DataKind.CUSTOM:
        raise UserError("a custom training loop has no drill-downs")
    status, output = run_layers(python, _layers_words(manifest, runs_dir, data))
    if status:
        raise UserError(f"its layers could not be timed (status {status})")
    timed = [_read(output, file) for file in (LAYERS, OPERATORS)]
    for drilldown in timed:
        if not explains(drilldown.conditions, manifest):
            found, wanted = drilldown.conditions.framework, manifest.framework
            raise UserError(
                f"{python} has {found.name} {found.exact_version} ({found.device}), "
                f"the run {wanted.name} {wanted.exact_version} ({wanted.device})"
            )
    return timed[0], timed[1]


def _read(output: str, file: str) -> Drilldown:
    """The drill-down whose path the verb printed."""
    path = next((line for line in output.splitlines() if Path(line).name == file), None)
    if path is None:
        raise UserError(f"its {file} is missing")
    return layers_from_json(read_json_artifact(Path(path)))


def _layers_words(manifest: Manifest, runs_dir: Path, data: str) -> list[str]:
    """The options with which `layers` trains as the run did."""
    config = manifest.config
    chosen = data or ("synthetic" if manifest.data.kind is DataKind.SYNTHETIC else "auto")
    words = ["--framework", config.framework, "--device", manifest.framework.device]
    words += ["--batch-size", str(config.batch_size), "--data", chosen]
    words += ["--model", config.network.model, "--image-size", str(config.network.image_size)]
    words += [] if config.seed is None else ["--seed", str(config.seed)]
    words += ["--allocator", "keep"] if config.allocator is Allocator.KEEP else []
    words += [f"--{name}" for name in ("compile", "mmap") if getattr(config, name)]
    words += [word for switch in config.switches or () for word in ("--switch", switch)]
    if registry.is_scripted(config.framework):
        words += ["--fake-costs", str(manifest.framework.conditions["script"])]
    return [*words, "--quiet", "--runs-dir", str(runs_dir)]
