"""`--model` and `--image-size`: what runs, drill-downs, sessions and parity checks store, and what is refused."""

import argparse
import json
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import pytest

from epoch_gap.profiler.commands import experiment as experiment_command
from epoch_gap.profiler.commands import parity as parity_command
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared.experiment_plan import choose_experiments
from epoch_gap.profiler.commands.shared.options import add_workload, network_of, workload_arguments
from epoch_gap.profiler.commands.shared.run_selection import add_latest_candidates
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.session import Session, edited_forecasts, session_from_json
from epoch_gap.profiler.parity.result import FILE, parity_from_json
from epoch_gap.profiler.storage.artifacts import find_artifacts, read_json_artifact
from epoch_gap.profiler.storage.manifest import Network
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.profiler.storage.seals import START, chained
from epoch_gap.workloads.architecture import find_architecture
from epoch_gap.workloads.experiments import find_experiments
from tests.helpers.command_line import SMALL, fake_run
from tests.helpers.experiments import experiment, newest, scripted

LENET = ["--model", "lenet5", "--image-size", "40"]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(experiment_command, "report_runs", lambda *arguments: None)
    return tmp_path / "runs"


def test_a_run_stores_its_network_and_its_parameters(runs: Path) -> None:
    assert fake_run(runs) == fake_run(runs, *LENET) == 0
    plain, other = (read_run(path) for path in find_runs(runs))
    assert (plain.config.model, plain.config.image_size) == ("resnet18", 32)
    assert (other.config.model, other.config.image_size) == ("lenet5", 40)
    architecture = find_architecture(Network("lenet5", 40))
    assert other.framework.conditions["parameters"] == architecture.parameter_count()
    assert "images" not in other.framework.conditions, "a script reads no images"
    assert other.framework.clocks == plain.framework.clocks


def test_a_report_shows_only_runs_of_the_newest_network(runs: Path) -> None:
    assert fake_run(runs, "--label", "A") == fake_run(runs, "--label", "B") == fake_run(runs, *LENET) == 0
    assert [run.path for run in add_latest_candidates([], runs)] == find_runs(runs)[2:]


def test_real_images_are_resized_and_the_run_says_so(runs: Path) -> None:
    words = ["run", "--framework", "torch", "--device", "cpu", *SMALL, "--quiet", "--runs-dir", str(runs), *LENET]
    assert main(words) == 0
    (run,) = map(read_run, find_runs(runs))
    assert run.framework.conditions["images"] == "40 x 40, by nearest neighbour, each when it is read"
    assert "ResizedDataset" in run.framework.conditions["loader"]
    assert "resized" in run.framework.clocks["fetch"]
    assert len(run.train) == 3


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--model", "vgg"], "invalid choice: 'vgg'"),
        (["--image-size", "8"], "8 is not between 16 and 1024"),
        (["--image-size", "large"], "invalid whole number value: 'large'"),
    ],
)
def test_a_network_that_does_not_exist_is_refused(
    words: list[str], line: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in (["run", "--framework", "fake"], ["parity"]):
        with pytest.raises(SystemExit) as ended:
            main([*verb, *words, "--runs-dir", str(runs)])
        assert ended.value.code == 2
        assert line in capsys.readouterr().err.splitlines()[-1]
    assert not runs.exists()


def test_the_options_reach_the_processes_of_a_job() -> None:
    parser = argparse.ArgumentParser()
    add_workload(parser)
    words = workload_arguments(parser.parse_args(LENET))
    assert network_of(parser.parse_args(words)) == Network("lenet5", 40)
    assert network_of(parser.parse_args([])) == Network("resnet18", 32)


def test_layers_of_another_network_have_a_name_of_their_own(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["layers", "--framework", "fake", "--data", "synthetic", "--batch-size", "2", "--steps", "2", "--quiet"]
    assert main([*words, *LENET, "--runs-dir", str(runs)]) == 0
    (path,) = find_artifacts(runs, "layers.json", "layers-fake-cpu.lenet5.40x40-")
    assert find_artifacts(runs, "layers.json", "layers-fake-cpu-") == []
    stored = read_json_artifact(path)
    assert stored["network"] == {"model": "lenet5", "image_size": 40}
    expected = find_architecture(Network("lenet5", 40)).layers()
    assert [layer["name"] for layer in stored["architecture"]] == [layer.name for layer in expected]
    assert "layer2.pool" in capsys.readouterr().out


@pytest.mark.parametrize(("switch", "missing"), [("torch_relu", "relu"), ("torch_batch_norm", "normalisation")])
def test_a_transplant_of_what_the_network_does_not_have_is_refused(
    switch: str, missing: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fake_run(runs, "--model", "resnet50", "--switch", switch) == 0
    assert fake_run(runs, "--model", "lenet5", "--switch", switch) == 2
    assert f"--switch {switch}: LeNet-5 has no {missing}" in capsys.readouterr().err


def test_a_switch_that_no_side_can_have_for_its_network_is_refused_before_the_work(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", "lenet5", "--switch", "torch_relu", "--runs-dir", str(runs)]
    assert main(["profile", "--frameworks", "torch,lucid", *words, "--out", str(runs.parent / "out")]) == 2
    reasons = "not for torch; for: lucid, fake, and LeNet-5 has no relu"
    assert capsys.readouterr().err == f"error: --switch torch_relu: {reasons}\n"
    assert main(["noise", "--framework", "fake", *words]) == 2
    assert not runs.exists()


def test_all_experiments_of_a_side_are_those_that_its_network_allows() -> None:
    def chosen(model: str, *names: str) -> set[str]:
        architecture = find_architecture(Network(model))
        return {e.name for e in choose_experiments(names, find_experiments(), "lucid", "cpu", architecture)}

    assert chosen("resnet34", "all") - chosen("lenet5", "all") == {
        "torch_relu",
        "torch_batch_norm",
        "contiguous_convolution",
    }
    assert "torch_convolution" in chosen("lenet5", "all")
    with pytest.raises(UserError, match="torch_relu cannot be tested on lenet5: it has no relu"):
        chosen("lenet5", "torch_relu")


def test_a_session_is_of_its_network(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPOCH_GAP_CACHE", str(runs.parent / "cache"))
    with scripted(monkeypatch):
        assert experiment(runs, "half_forward", "--model", "lenet5") == 0
        first = newest(runs)
        assert experiment(runs, "half_forward") == 0
    second = newest(runs)
    assert (first.session.network, second.session.network) == (Network("lenet5"), Network())
    assert first.session.title == "scripted fake 1 (cpu, lenet5)"
    assert set(first.session.baseline).isdisjoint(second.session.baseline)
    assert first.withheld is None


def test_the_seals_of_older_sessions_still_fit(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session of before has neither field: its header's digest is without them."""
    monkeypatch.setenv("EPOCH_GAP_CACHE", str(runs.parent / "cache"))
    with scripted(monkeypatch):
        assert experiment(runs, "half_forward") == 0
    session = newest(runs).session
    older = older_session(session)
    assert edited_forecasts(older, [older.seal]) == set()
    assert edited_forecasts(replace(older, model="lenet5"), [older.seal]) == {older.forecasts[0].name}


def older_session(session: Session) -> Session:
    """The session as an older version stored it, sealed as it did."""
    stored = {k: v for k, v in msgspec.to_builtins(session).items() if k not in ("model", "image_size")}

    def digest(values: dict[str, Any]) -> bytes:
        return blake2b(msgspec.msgpack.encode(values, order="sorted"), digest_size=16).digest()

    seal = chained(START, digest({**stored, "forecasts": [], "results": [], "id": ""}))
    forecasts = []
    for forecast in stored["forecasts"]:
        seal = chained(seal, digest({**forecast, "seal": ""}))
        forecasts.append({**forecast, "seal": seal.hex()})
    return session_from_json(json.loads(json.dumps({**stored, "forecasts": forecasts})))


def test_a_parity_check_of_another_network_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blank_pictures: None
) -> None:
    asked: list[str] = []

    def losses_by_threads(words: list[str]) -> dict[int, list[float]]:
        asked.extend(words)
        return {1: [2.0], 2: [2.0]}

    monkeypatch.setattr(parity_command, "losses_by_threads", losses_by_threads)
    words = ["parity", "--frameworks", "torch,torch", "--devices", "cpu,cpu", "--data", "synthetic", "--quiet"]
    folders = ["--runs-dir", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    assert main([*words, "--batch-size", "2", "--steps", "1", *LENET, *folders]) == 0
    parity = parity_from_json(json.loads((tmp_path / "out" / FILE).read_text()))
    assert parity.network == Network("lenet5", 40)
    assert "--model lenet5 --image-size 40" in " ".join(asked)
    assert ", lenet5, 40x40, batch 2, seed 42." in (tmp_path / "out" / "index.html").read_text()
