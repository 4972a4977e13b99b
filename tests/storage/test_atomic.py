from pathlib import Path

import pytest

from epoch_gap.profiler.storage import atomic as files


def test_a_file_that_is_not_finished_leaves_the_one_before_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    files.replace(path, "before")

    def fail() -> None:
        with files.whole(path) as stream:
            stream.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("table.csv", "before")]


def test_a_finished_file_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    files.replace(path, "before")
    with files.whole(path) as stream:
        stream.write(b"after")
        assert path.read_text() == "before"
    assert path.read_bytes() == b"after"
