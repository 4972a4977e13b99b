"""Load the drill-downs that are stored beside runs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from epoch_gap.profiler.comparison.identity import drilldown_key
from epoch_gap.profiler.drilldown import layers, lines, stacks
from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.lines import LineTimes
from epoch_gap.profiler.drilldown.matching import Drilldowns
from epoch_gap.profiler.drilldown.stacks import Stacks
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.artifacts import find_artifacts, read_json_artifact, read_text_artifact
from epoch_gap.profiler.storage.run import Run

Warn = Callable[[str], None]


def load_drilldowns(runs: Sequence[Run], runs_dir: Path, warn: Warn) -> Drilldowns:
    """The drill-downs in `runs_dir` for the frameworks and devices of `runs`.

    A file that cannot be read is skipped, and `warn` is called with the reason.
    """
    keys = {drilldown_key(run.manifest) for run in runs}

    def read_newest[T](verb: str, file: str, read: Callable[[Path], T]) -> dict[str, T]:
        paths = {key: find_artifacts(runs_dir, file, f"{verb}-{key}-")[:1] for key in keys}
        return {key: value for key, newest in paths.items() for value in _read_all(newest, read, warn)}

    return Drilldowns(
        layers=list(_read_all(find_artifacts(runs_dir, layers.LAYERS), _read_layers, warn)),
        operators=list(_read_all(find_artifacts(runs_dir, layers.OPERATORS), _read_layers, warn)),
        lines=read_newest("lines", lines.LINES, _read_lines),
        stacks=read_newest("flame", stacks.TEXT, _read_stacks),
    )


def _read_all[T](paths: Iterable[Path], read: Callable[[Path], T], warn: Warn) -> Iterator[T]:
    for path in paths:
        try:
            yield read(path)
        except UserError as error:
            warn(f"{path} is skipped: {error}")


def _read_layers(path: Path) -> Drilldown:
    return replace(layers.layers_from_json(read_json_artifact(path)), name=path.parent.name)


def _read_lines(path: Path) -> LineTimes:
    return lines.lines_from_json(read_json_artifact(path))


def _read_stacks(path: Path) -> Stacks:
    return stacks.stacks_from_text(read_text_artifact(path), read_json_artifact(path.with_name(stacks.COUNTS)))
