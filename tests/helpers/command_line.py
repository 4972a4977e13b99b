"""Commands that train the scripted fake."""

from pathlib import Path

from epoch_gap.profiler.commands.main import main

SMALL = ["--data", "synthetic", "--train-limit", "40", "--test-limit", "20", "--batch-size", "10", "--steps", "3"]


QUICK_SCRIPT = ["--fake-costs", "forward=1,backward=2,step=1", "--quiet"]


def fake_run(runs: Path, *more: str) -> int:
    return main(["run", "--framework", "fake", *SMALL, *QUICK_SCRIPT, "--runs-dir", str(runs), *more])
