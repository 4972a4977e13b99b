"""The collectives of a custom loop's DistributedDataParallel, in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

from epoch_gap.profiler.recording.collectives import CollectiveKind
from epoch_gap.profiler.storage.reader import find_runs, read_run
from tests.helpers.paths import ROOT

LOOP = """
import json, os, sys
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from epoch_gap.profiler.callbacks.torch import collective_cost_ns, time_collectives
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase

distributed.init_process_group("gloo")
model = DistributedDataParallel(nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 1)))
clocks = {Phase.FORWARD: "model(x)", Phase.BACKWARD: "backward()"}
with recording(sys.argv[1], "mine", "1", clocks, batch_size=4, train_images=16) as recorder:
    time_collectives(model, recorder.collectives)
    with recorder.epoch(0):
        for _ in range(4):
            with recorder.step(4) as step:
                loss = model(torch.randn(4, 8)).sum()
                step.mark(Phase.FORWARD)
                loss.backward()
                step.mark(Phase.BACKWARD)
    try:
        time_collectives(model, recorder.collectives)
        refused = ""
    except UserError as error:
        refused = str(error)
if os.environ["RANK"] == "0":
    print(json.dumps([refused, collective_cost_ns(20)]))
distributed.destroy_process_group()
"""


def test_a_custom_loop_under_torchrun_records_each_rank_with_its_collectives(tmp_path: Path) -> None:
    program = tmp_path / "loop.py"
    program.write_text(LOOP)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(program)]
    done = subprocess.run([*launch, str(tmp_path / "runs")], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    runs = [read_run(path) for path in find_runs(tmp_path / "runs")]
    assert {run.manifest.rank.rank for run in runs if run.manifest.rank is not None} == {0, 1}
    assert len({run.manifest.session for run in runs}) == 1
    for run in runs:
        kinds = run.collectives.kind[run.collectives.step == 3].tolist()
        assert kinds == [CollectiveKind.BROADCAST, CollectiveKind.ALL_REDUCE, CollectiveKind.TIMERS]
        assert (run.collectives.done_ns >= run.collectives.ready_ns).all()
        assert run.train.loss.shape == (4,)
    refused, cost = json.loads(done.stdout)
    assert "cannot have this communication hook" in refused
    assert cost > 0
