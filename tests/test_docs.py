"""What the documents tell a reader to type, to call and to open: it runs, and it is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from epoch_gap.profiler.commands.main import VERBS
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage import store
from epoch_gap.workloads.framework import Framework
from tests.helpers.paths import ROOT


def blocks(document: str, language: str = "") -> list[str]:
    """The fenced blocks of one language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "docs" / document).read_text(), re.M | re.S)
    return [text for its_language, text in found if its_language == language]


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_loop_of_ones_own_runs_adds_up_and_makes_a_report(tmp_path: Path) -> None:
    document = "instrument-your-loop.md"
    (code,), (commands,) = blocks(document, "python"), blocks(document)
    (tmp_path / "my_loop.py").write_text(code)
    for command in commands.splitlines():
        result = run(tmp_path, *command.split()[1:])
        assert result.returncode == 0, result.stderr

    stored = store.read(store.find(tmp_path / "runs")[0])
    assert stored.status == "complete"
    assert stored.train.phase_ns.keys() == {Phase.FETCH, Phase.FORWARD, Phase.BACKWARD, Phase.STEP}
    assert (sum(stored.train.phase_ns.values()) == stored.train.wall_ns).all()
    assert [epoch.wall_ns for epoch in stored.epochs] == [
        stored.train.wall_ns[stored.train.epoch == epoch.epoch].sum() for epoch in stored.epochs
    ]
    assert stored.epochs[-1].train_acc > 0.9
    assert "my loop" in (tmp_path / "reports" / "out" / "index.html").read_text()


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
KEPT = ("profiler", "workloads", "reports", "tests", "docs")
"""the folders that hold files under version control"""
MADE = ("reports/out",)
"""made by running the program"""


def code_in(document: Path) -> str:
    """What is set as code: fenced blocks, and the spans between backticks."""
    text = document.read_text()
    fenced = re.findall(r"^```\w*\n(.*?)^```$", text, re.M | re.S)
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))
    return "\n".join([*fenced, *spans])


@each_document
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    words = re.findall(r"[\w./<>*-]+", code_in(document))
    ours = {word.rstrip(".") for word in words if word.startswith(tuple(f"{folder}/" for folder in KEPT))}
    named = {word for word in ours if not word.startswith(MADE)}
    assert [word for word in named if not list(ROOT.glob(re.sub(r"<\w+>", "*", word)))] == []
    links = re.findall(r"\]\(([^)#]+)\)", document.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (document.parent / link).exists()] == []


@each_document
def test_every_target_and_verb_that_a_document_names_is_there(document: Path) -> None:
    code = code_in(document)
    targets = set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split())  # type: ignore[index]
    calls = re.findall(r"^ *make((?: [a-z-]+)+)", code, re.M)
    assert {target for call in calls for target in call.split()} <= targets
    assert set(re.findall(r"-m profiler ([a-z]+)", code)) <= VERBS.keys()


def test_the_readme_names_every_verb() -> None:
    code = code_in(ROOT / "README.md")
    assert {verb for verb in VERBS if not re.search(rf"^{verb}\b", code, re.M)} == set()


def test_how_to_add_a_framework_names_every_member_of_the_contract() -> None:
    code = code_in(ROOT / "docs" / "add-a-framework.md")
    members = {name for name in vars(Framework) if not name.startswith("_")}
    assert {"clocks", "wait", "layers"} <= members
    assert {name for name in members if not re.search(rf"\b{name}\b", code)} == set()


def test_the_index_lists_every_document_and_the_readme_leads_to_it() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    others = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {name for name in others if f"({name})" not in index} == set()
    assert "(docs/README.md)" in (ROOT / "README.md").read_text()
