"""The documents: their code runs, their links lead somewhere, and the names in them exist."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from epoch_gap.profiler.commands.main import VERBS, main
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.workloads import framework, registry
from epoch_gap.workloads.contract import PARITY_STEPS, check_rule
from epoch_gap.workloads.contract_subject import BATCH_SIZE, Subject
from tests.helpers.adapters import SEED, build
from tests.helpers.clocks import ScriptedClock
from tests.helpers.parity import small_data
from tests.helpers.paths import ROOT

DOCS = ROOT / "docs"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
SOURCE_FOLDERS = ("profiler", "workloads", "reports", "tests", "docs")
"""the folders that hold files under version control"""
GENERATED = ("reports/out",)
"""made by running the program"""
FENCED_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
CUT = "[...]"
"""in quoted output: lines are left out here"""


def blocks(document: Path, language: str = "") -> list[str]:
    """The fenced blocks of one language."""
    return [text for its_language, text in FENCED_BLOCK.findall(document.read_text()) if its_language == language]


def prose(document: Path) -> str:
    """The text without fenced blocks."""
    return FENCED_BLOCK.sub("", document.read_text())


def code_in(document: Path) -> str:
    """Everything that is set as code: fenced blocks, and spans between backticks."""
    fenced = [text for _, text in FENCED_BLOCK.findall(document.read_text())]
    return "\n".join([*fenced, *re.findall(r"`([^`]+)`", prose(document))])


def anchors(document: Path) -> set[str]:
    """The fragments that lead to the document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_custom_training_loop_runs_and_adds_up_and_makes_a_report(tmp_path: Path) -> None:
    document = DOCS / "custom-training-loop.md"
    (code,), (commands,) = blocks(document, "python"), blocks(document)
    (tmp_path / "my_loop.py").write_text(code)
    for command in commands.splitlines():
        result = run(tmp_path, *command.split()[1:])
        assert result.returncode == 0, result.stderr

    stored = read_run(find_runs(tmp_path / "runs")[0])
    assert stored.status == "complete"
    marked = {Phase.FETCH, Phase.FORWARD, Phase.BACKWARD, Phase.STEP}
    assert stored.train.phase_ns.keys() == {*marked, Phase.OTHER}
    assert (sum(stored.train.phase_ns.values()) == stored.train.wall_ns).all()
    assert [epoch.wall_ns for epoch in stored.epochs] == [
        stored.train.wall_ns[stored.train.epoch == epoch.epoch].sum() + sum(epoch.durations.values())
        for epoch in stored.epochs
    ]
    assert stored.epochs[-1].train_acc > 0.9
    assert "my loop" in (tmp_path / "reports" / "out" / "index.html").read_text()


@pytest.mark.skipif(find_spec("tinygrad") is None, reason="tinygrad is not installed")
@pytest.mark.skipif(shutil.which("clang") is None, reason="tinygrad's CPU needs clang")
@pytest.mark.parametrize(
    "rules", [("build", "parameters", "clocks"), pytest.param(("wait", "parity"), marks=pytest.mark.bench)]
)
def test_the_adapter_of_the_guide_keeps_the_contract(outside: Path, rules: tuple[str, ...]) -> None:
    """Without the rules that train longest, at least in every run: a step of tinygrad takes seconds."""
    (code,) = blocks(DOCS / "add-a-framework.md", "python")
    (outside / "tinygrad_adapter.py").write_text(code)
    options = registry.Options(device="cpu", seed=SEED, batch_size=BATCH_SIZE)
    subject = Subject(
        build=lambda: registry.create("tinygrad_adapter:TinygradResNet", options),
        reference=lambda: build("torch", "cpu"),
        data=small_data(BATCH_SIZE * PARITY_STEPS),
        clock=ScriptedClock(),
    )
    for rule in rules:
        outcome = check_rule(rule, subject)
        assert not outcome.is_broken, outcome.text


def test_the_readme_quotes_the_output_of_its_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (session,) = (block for block in blocks(ROOT / "README.md") if block.startswith("$ "))
    command, *quoted = session.splitlines()
    _, *words = shlex.split(command.partition(" -m ")[2])
    monkeypatch.chdir(ROOT)
    assert main(words) == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    places = [printed.index(line.split()) for line in quoted if line != CUT]
    assert places == sorted(places)


@each_document
def test_every_file_in_a_document_exists(document: Path) -> None:
    words = re.findall(r"[\w./<>*-]+", code_in(document))
    ours = {word.rstrip(".") for word in words if word.startswith(tuple(f"{folder}/" for folder in SOURCE_FOLDERS))}
    named = {word for word in ours if not word.startswith(GENERATED)}
    assert {word for word in named if not list(ROOT.glob(re.sub(r"<\w+>", "*", word)))} == set()


@each_document
def test_every_link_of_a_document_leads_to_a_file_and_a_heading(document: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", prose(document))
    local = [link.partition("#") for link in links if "://" not in link]
    targets = [((document.parent / path) if path else document, anchor) for path, _, anchor in local]
    assert {str(target) for target, _ in targets if not target.exists()} == set()
    assert [anchor for target, anchor in targets if anchor and anchor not in anchors(target)] == []


@each_document
def test_every_target_and_verb_in_a_document_exists(document: Path) -> None:
    code = code_in(document)
    targets = set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split())  # type: ignore[index]
    calls = re.findall(r"^ *make((?: [a-z-]+)+)", code, re.M)
    assert {target for call in calls for target in call.split()} <= targets
    assert set(re.findall(r"-m profiler ([a-z]+)", code)) <= VERBS.keys()


@each_document
def test_no_paragraph_is_wrapped_within_a_sentence(document: Path) -> None:
    """A line of a paragraph or list item that is followed by another one ends a sentence or a clause."""
    lines = prose(document).splitlines()
    is_text = [not re.match(r"\||#|!\[|\s*$", line) for line in lines]
    starts_item = [bool(re.match(r"\s*([-*]|\d+\.) ", line)) for line in lines]
    broken = [
        line
        for i, line in enumerate(lines[:-1])
        if is_text[i] and is_text[i + 1] and not starts_item[i + 1] and not re.search(r"[.:;,!?)`]\**$", line)
    ]
    assert broken == []


def test_the_page_of_commands_names_every_verb() -> None:
    headings = re.findall(r"^### (\w+)$", prose(DOCS / "commands.md"), re.M)
    assert set(headings) == VERBS.keys()


def test_how_to_add_a_framework_names_every_member_of_the_protocols() -> None:
    code = code_in(DOCS / "add-a-framework.md")
    protocols = [value for value in vars(framework).values() if getattr(value, "_is_protocol", False)]
    ours = [protocol for protocol in protocols if protocol.__module__ == framework.__name__]
    members = {name for protocol in ours for name in vars(protocol) if not name.startswith("_")}
    assert {"clocks", "wait", "layers"} <= members
    assert {name for name in members if not re.search(rf"\b{name}\b", code)} == set()


def test_the_index_lists_every_document_and_the_readme_leads_to_it() -> None:
    index = (DOCS / "README.md").read_text()
    others = {path.name for path in DOCS.glob("*.md")} - {"README.md"}
    assert {name for name in others if f"({name})" not in index} == set()
    assert "(docs/README.md)" in (ROOT / "README.md").read_text()
