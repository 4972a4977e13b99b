"""docs/commands.md describes every target, variable, verb, option and value, and nothing else."""

import re

import pytest

from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared import exit_status
from tests.helpers.paths import ROOT

DOCUMENT = (ROOT / "docs" / "commands.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
SHARED = "(#workload-options)"
"""the link with which a verb's section includes the table of the workload options"""
OPTION = r"(?<!\S)--?[a-z][a-z-]*"


def section(title: str) -> str:
    """The text under a heading, down to the next heading of any level."""
    return re.split(rf"^##+ {re.escape(title)}$", DOCUMENT, flags=re.M)[1].split("\n#")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of the rows of a section's table, without its two header rows."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def code(cell: str) -> list[str]:
    """The words between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def names(title: str) -> set[str]:
    """The names in the first column of a section's table."""
    return {name for row in rows(title) for name in code(row[0])}


def help_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def options_in_help(text: str) -> dict[str, set[str]]:
    """Every option and argument with its values: choices, alternatives, or one placeholder; a switch has none."""
    found = {}
    for invocation in re.findall(r"^  (\S.*?)(?:  .*)?$", text, re.M):
        options = re.findall(OPTION, invocation)
        value = re.sub(rf"{OPTION},? ?", "", invocation).split(", ")[0] if options else ""
        values = value.strip("{}").split("," if value.startswith("{") else "|")
        found |= dict.fromkeys(options or [invocation], set(values) - {""})
    return {name: values for name, values in found.items() if name not in ("-h", "--help")}


def options_in_document(verb: str) -> dict[str, set[str]]:
    tables = [rows(verb)] + ([rows("Workload options")] if SHARED in section(verb) else [])
    return {name: set(code(value)) for table in tables for first, value, _ in table for name in code(first)}


@pytest.fixture(autouse=True)
def plain_and_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Help without colours, and with every option on one line."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "250")


def test_every_verb_has_a_section_and_every_section_is_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = set(re.findall(r"^    ([a-z]+) ", help_of(capsys), re.M))
    assert {"run", "report", "compare"} <= verbs
    assert set(re.findall(r"^### (.+)$", DOCUMENT, re.M)) == verbs


@pytest.mark.parametrize("verb", re.findall(r"^### (.+)$", DOCUMENT, re.M))
def test_a_verbs_options_and_values_are_those_of_its_help(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    found = options_in_help(help_of(capsys, verb))
    assert found
    assert options_in_document(verb) == found


def test_every_target_of_the_makefile_is_described_and_no_other() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.M)
    assert phony is not None
    assert names("Targets") == {f"make {target}" for target in phony[1].split()}


def test_every_variable_of_the_makefile_is_described_and_no_other() -> None:
    defaults = dict(re.findall(r"^([A-Z_]+) \?= *(.*)$", MAKEFILE, re.M))
    optional = set(re.findall(r"\$\(if \$\(([A-Z_]+)\)", MAKEFILE))
    assert {"PRESET", "OUT"} <= defaults.keys()
    assert {"BATCH", "IMAGE_SIZE", "SVG"} <= optional
    assert names("Variables") == defaults.keys() | optional
    described = {code(row[0])[0]: code(row[1]) for row in rows("Variables")}
    assert {name: described[name] for name in defaults} == {name: [value] for name, value in defaults.items()}


def test_every_preset_is_described_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert names("Presets") == options_in_help(help_of(capsys, "run"))["--preset"]


def test_every_exit_status_is_described_and_no_other() -> None:
    failures = {int(value) for name, value in vars(exit_status).items() if name.isupper()}
    assert names("Exit statuses") == {str(status) for status in {0} | failures}


def test_every_environment_variable_that_is_read_is_described_and_no_other() -> None:
    sources = [path for name in ("profiler", "workloads", "reports") for path in (ROOT / name).rglob("*.py")]
    pattern = r'environ(?:\.get\(|\[)"([A-Z0-9_]+)"'
    read = {name for path in sources for name in re.findall(pattern, path.read_text())}
    read |= set(re.findall(r"\$\(or \$\((\w+)\)", MAKEFILE))
    assert names("Environment variables") == read
