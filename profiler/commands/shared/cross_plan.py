"""A session of the cross: train both sides as they are, predict and seal, then train what is missing."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from epoch_gap.profiler.commands.shared.options import network_of, workload_arguments
from epoch_gap.profiler.commands.shared.run_selection import if_readable, newest_repeats
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.learning.cross import Cell
from epoch_gap.profiler.learning.rivals import predict_rivals
from epoch_gap.profiler.learning.session import (
    CrossSession,
    Training,
    add_training,
    create_cross,
    find_crosses,
    load_cross,
)
from epoch_gap.profiler.storage.manifest import DataKind, Manifest, RunStatus
from epoch_gap.profiler.storage.reader import find_runs, read_header
from epoch_gap.profiler.storage.run import Run
from epoch_gap.workloads.presets import PRESETS, Preset
from epoch_gap.workloads.registry import MAX_SEED

RunProcess = Callable[[Sequence[str]], tuple[int, Path | None]]
"""executes the verb `run` with these words: its exit status, and the directory of the run"""


@dataclass
class CrossTraining:
    """The trainings of one command; `args` are its options."""

    args: argparse.Namespace
    run: RunProcess
    show: Callable[[str], None] = lambda text: None

    def execute(self) -> tuple[int, list[Run], Path | None]:
        """Train what is missing. Returns the exit status, the runs of both sides as they are, and the folder.

        The first training that fails or is interrupted ends the session, which the next command continues.
        """
        sides: list[Run] = []
        for name in self.args.frameworks:
            status, run = self._as_it_is(name)
            if run is None:
                return status, sides, None
            sides.append(run)
        folder, session = self._session(sides)
        for cell in session.remaining:
            number = len(session.trainings) + 1
            self.show(f"[{number}/{len(session.plan)}] {_describe(cell)}")
            status, path = self.run(self._words(cell, runs_dir=folder, session=session.seal))
            if status or path is None:
                return status, sides, folder
            training = Training(framework=cell.framework, switches=cell.switches, seed=cell.seed, run=path.name)
            session = add_training(folder, session, training)
        return 0, sides, folder

    def _as_it_is(self, name: str) -> tuple[int, Run | None]:
        """The newest complete training of a side, or a new one if there is none. None if that one failed."""
        found = newest_repeats(self.args.runs_dir, lambda manifest: self._fits(manifest, name))
        status = 0
        if not found:
            self.show(f"{name} as it is")
            status, _ = self.run(self._words(Cell(name, (), self.args.seed)))
            if not status:
                found = newest_repeats(self.args.runs_dir, lambda manifest: self._fits(manifest, name))
        return status, found[-1] if found else None

    def _words(self, cell: Cell, session: str = "", **changes: object) -> list[str]:
        words = ["--framework", cell.framework, *workload_arguments(self.args, seed=cell.seed, **changes)]
        words += [word for switch in cell.switches for word in ("--switch", switch)]
        return [*words, "--session", session] if session else words

    @property
    def _preset(self) -> Preset:
        preset, args = PRESETS[self.args.preset], self.args
        return Preset(
            batch_size=args.batch_size or preset.batch_size,
            epochs=args.epochs or preset.epochs,
            train_limit=args.train_limit or preset.train_limit,
            test_limit=args.test_limit or preset.test_limit,
        )

    def _fits(self, manifest: Manifest, name: str) -> bool:
        """Whether a stored run is one of this side as it is, under the command's conditions."""
        config, preset = manifest.config, self._preset
        kinds = {"synthetic": [DataKind.SYNTHETIC], "auto": [DataKind.CIFAR10, DataKind.SYNTHETIC]}
        sizes = (config.batch_size, config.epochs, config.train_limit, config.test_limit)
        return (
            config.framework == name
            and config.seed == self.args.seed
            and config.network == network_of(self.args)
            and sizes == (preset.batch_size, preset.epochs, preset.train_limit, preset.test_limit)
            and not config.label
            and not config.switches
            and config.alternate is None
            and config.steps == self.args.steps
            and self.args.device in ("auto", manifest.framework.device)
            and manifest.data.kind in kinds.get(self.args.data, [DataKind.CIFAR10])
        )

    def _session(self, sides: Sequence[Run]) -> tuple[Path, CrossSession]:
        """The newest session of these runs that is not finished, or a new one."""
        fast, slow = sorted(sides, key=lambda run: float(np.median(run.train.wall_ns)))
        seeds = tuple((self.args.seed + 1 + i) % (MAX_SEED + 1) for i in range(self.args.seeds))
        baseline = (slow.id, fast.id)
        for folder in find_crosses(self.args.runs_dir):
            stored = if_readable(load_cross, folder)
            if stored is not None and stored.remaining and (stored.baseline, stored.seeds) == (baseline, seeds):
                self.show(
                    f"continued: {folder.name}, {len(stored.trainings)} of {len(stored.plan)} trainings are done"
                )
                return folder, self._with_lost_trainings(folder, stored)
        session = CrossSession(
            slow=slow.config.framework,
            fast=fast.config.framework,
            titles={run.config.framework: run.manifest.framework.title for run in sides},
            size=_describe_size(slow.manifest),
            model=slow.config.network.model,
            image_size=slow.config.network.image_size,
            seeds=seeds,
            baseline=baseline,
            rivals=predict_rivals(slow, fast),
        )
        return create_cross(self.args.runs_dir, session)

    def _with_lost_trainings(self, folder: Path, session: CrossSession) -> CrossSession:
        """The session with those runs that were complete when the command was killed before it noted them."""
        known = {training.run for training in session.trainings}
        for path in find_runs(folder):
            header = if_readable(read_header, path)
            if header is None or header.status is not RunStatus.COMPLETE or path.name in known:
                continue
            config = header.manifest.config
            cell = Cell(config.framework, config.switches or (), config.seed or 0)
            if header.manifest.session == session.seal and cell in session.remaining:
                training = Training(framework=cell.framework, switches=cell.switches, seed=cell.seed, run=path.name)
                session = add_training(folder, session, training)
        return session


def check_sides(frameworks: Sequence[str]) -> None:
    """Raise UserError unless two different sides are named."""
    if len(set(frameworks)) != 2 or len(frameworks) != 2:
        raise UserError(f"--frameworks: two sides are compared, not {', '.join(frameworks)}")


def _describe(cell: Cell) -> str:
    taken = " and ".join(switch.replace("_", " ") for switch in cell.switches) or "as it is"
    return f"{cell.framework}, seed {cell.seed}, {taken}"


def _describe_size(manifest: Manifest) -> str:
    config, data = manifest.config, manifest.data
    images = f"{data.train_images} training and {data.test_images} test images of {data.title}, balanced by class"
    return ", ".join([*config.network.settings, f"batch {config.batch_size}", f"{config.epochs} epochs", images])
