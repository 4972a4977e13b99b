"""The verb `check`: one line a rule, and an exit status for scripts."""

import pytest

from epoch_gap.profiler.commands.main import main
from epoch_gap.workloads import contract

FAST = {name: rule for name, rule in contract.RULES.items() if name not in ("parity", "wait")}
"""without the rules that compute a network or time something"""


@pytest.fixture(autouse=True)
def fast_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "RULES", FAST)


@pytest.mark.usefixtures("outside")
def test_an_adapter_that_keeps_all_rules_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "constant:Splitting"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"ok    {rule}" for rule in FAST]
    assert lines[0] == "ok    build: constant, split 3.1 on cpu, for batches of 4"
    assert lines[3] == "ok    phases: 11 in each of 3 steps and 4 in the epoch, and no other"


@pytest.mark.usefixtures("outside")
def test_an_adapter_is_checked_with_the_network_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "constant:Splitting", "--model", "lenet5", "--image-size", "40"]) == 0
    expected = "ok    parameters: 108086 trainable parameters, under the network's names and in its shapes"
    assert expected in capsys.readouterr().out.splitlines()


def test_a_broken_rule_is_exit_status_1(outside: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "constant:Unchanging"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith("ok")] == ["FAIL  learning rate: a step changes no weight"]
    assert main(["check", "constant:Unbuildable"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("FAIL  build: KeyError: 'fc' (constant.py, line ")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["fake"], "fake is scripted: it computes nothing that could be checked"),
        (["constant:Constant", "--compile"], "--compile: constant:Constant cannot compile its step; frameworks that"),
        (["constant:Constant", "--device", "cuda"], "Constant has no device 'cuda' on this machine"),
        (["constant:Lacking"], "constant:Lacking lacks loss_and_gradients, read, to_device, wait"),
        (["nowhere:Class"], "nowhere:Class: nowhere cannot be imported"),
    ],
)
@pytest.mark.usefixtures("outside")
def test_what_cannot_be_checked_is_one_line(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {line}")
    assert captured.err.count("\n") == 1


def test_a_name_that_cannot_be_an_adapter_is_refused_by_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["check", "caffe"], ["layers", "--framework", "caffe"], ["noise", "--framework", "a b:C"]):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 2
        errors = capsys.readouterr().err
        assert "choose from lucid, torch, mlx, jax, keras_torch, keras_jax, fake, MODULE:CLASS, not " in errors
        assert errors.count("\n") == 1
