"""Show one stored run: its conditions, its epoch by phase, its flags; of an experiment's, its times on and off."""

import argparse

from epoch_gap.profiler.commands.shared.options import add_runs_dir
from epoch_gap.profiler.comparison.identity import alternates
from epoch_gap.profiler.comparison.subject import Subject, shorten_titles
from epoch_gap.profiler.storage.reader import locate_run, read_run
from epoch_gap.reports.sentences.warm_up import describe_compilation
from epoch_gap.reports.terminal.experiments import level_table
from epoch_gap.reports.terminal.tables import list_conditions, phase_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", metavar="RUN", help="a run's directory, its id, or a unique part of its id")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Print the run."""
    run = read_run(locate_run(args.run, args.runs_dir))
    print(list_conditions(run))
    if alternates(run.manifest):
        print(level_table(run))
        return 0
    (subject,) = shorten_titles([Subject.from_runs([run])])
    print(phase_table([subject]))
    if text := describe_compilation(subject):
        print(text)
    for flag in subject.analyses[0].flags:
        print(f"{flag.kind}: {flag.text}")
    return 0
