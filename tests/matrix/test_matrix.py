"""A matrix's file, its cells and their order."""

from pathlib import Path

import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.matrix.matrix import Matrix, read_matrix
from tests.helpers.matrix import FAKES, write_matrix


def matrix(folder: Path, text: str) -> Matrix:
    path = folder / "mine.toml"
    path.write_text(text)
    return read_matrix(path)


def titles(matrix: Matrix) -> list[str]:
    return [cell.title for cell in matrix.cells]


def test_cells_are_all_combinations_in_an_order_that_alternates(tmp_path: Path) -> None:
    found = matrix(
        tmp_path,
        """
        repeats = 3
        [[framework]]
        name = "lucid"
        versions = ["2.15.0", "2.16.0"]
        devices = ["cpu", "gpu"]
        batch_sizes = [8]
        [[framework]]
        name = "torch"
        versions = ["2.14.1"]
        switches = [[], ["threads=1", "noop"]]
        """,
    )
    once = [
        "lucid 2.15.0, cpu, batch 8",
        "lucid 2.15.0, gpu, batch 8",
        "lucid 2.16.0, cpu, batch 8",
        "lucid 2.16.0, gpu, batch 8",
        "torch 2.14.1, auto, batch 128",
        "torch 2.14.1, auto, batch 128, threads=1, noop",
    ]
    rounds = [once, once[::-1], once]
    assert titles(found) == [f"{title}, repeat {n}" for n, names in enumerate(rounds, start=1) for title in names]
    assert [cell.number for cell in found.cells] == list(range(1, 19))
    assert len({cell.id for cell in found.cells}) == 18


def test_a_cells_id_stays_when_others_are_added_and_changes_with_its_settings(tmp_path: Path) -> None:
    before = read_matrix(write_matrix(tmp_path))
    more = read_matrix(write_matrix(tmp_path, repeats=3, layers=True))
    ids = {cell.id for cell in before.cells}
    assert ids < {cell.id for cell in more.cells}
    assert before.session != more.session, "their runs do not alternate with those of the cells before"
    assert before.session == read_matrix(write_matrix(tmp_path)).session

    dearer = read_matrix(write_matrix(tmp_path, FAKES.replace("forward=4", "forward=5")))
    assert len(ids & {cell.id for cell in dearer.cells}) == 4, "only version 3 is another configuration"
    path = write_matrix(tmp_path)
    path.write_text(path.read_text().replace("steps = 3", "steps = 4"))
    assert not ids & {cell.id for cell in read_matrix(path).cells}


def test_a_matrix_is_named_after_its_file_unless_it_has_a_name(tmp_path: Path) -> None:
    assert read_matrix(write_matrix(tmp_path, name="lucid cpu")).name == "lucid_cpu"
    path = write_matrix(tmp_path)
    path.write_text(f'name = "other"\n{path.read_text()}')
    assert read_matrix(path).name == "other"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("repeats = 2", "repeats = 0"), "repeats 0 is less than 1"),
        (("repeats = 2", "repeats = '2'"), "not a matrix: Expected `int`, got `str` in `repeats`"),
        (("repeats = 2", "repeat = 2"), "unknown key 'repeat'; the keys are framework, name, devices"),
        (("repeats = 2", "repeats ="), "Invalid value (at line 1"),
        (("batch_sizes = [10]", "batch_sizes = [10, 0]"), "batch size 0 is less than 1"),
        (("batch_sizes = [10]", "batch_sizes = []"), "batch_sizes is empty"),
        (('devices = ["cpu"]', 'name = "../runs"'), "name '../runs' is no folder's name"),
        (('devices = ["cpu"]', 'python = "3.13; rm"'), "python '3.13; rm' is not a version such as '3.13'"),
        (
            ('versions = ["1", "2", "3"]', "versions = [2.11]"),
            "Expected `str`, got `float` in `framework[0].versions",
        ),
        (('versions = ["1", "2", "3"]', "versions = []"), "fake has no versions"),
        (
            ('versions = ["1", "2", "3"]', 'versions = ["1", "2"]'),
            "costs of fake 3, which is not one of its versions",
        ),
        (('versions = ["1", "2", "3"]', 'versions = ["1", "2", "3", "1"]'), "fake 1, cpu, batch 10 is there twice"),
        (('name = "fake"', 'nam = "fake"'), "unknown key 'nam' in framework[0]; the keys are name, versions"),
        (('name = "fake"', ""), "missing required field `name` in `framework[0]`"),
        (("[[framework]]", "[framework]"), "no [[framework]] with its name and versions"),
    ],
)
def test_a_wrong_file_is_one_line_with_the_file_and_the_key(
    tmp_path: Path, change: tuple[str, str], line: str
) -> None:
    path = write_matrix(tmp_path)
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(UserError) as raised:
        read_matrix(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert line in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_file_that_is_not_there_or_no_text_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*nowhere.toml: No such file"):
        read_matrix(tmp_path / "nowhere.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"binary.toml: "):
        read_matrix(tmp_path / "binary.toml")
