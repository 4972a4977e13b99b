from pathlib import Path

import pytest

from epoch_gap.profiler.storage.atomic import open_atomically, replace_atomically, write_atomically


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_atomically(path, "before")

    def fail() -> None:
        with open_atomically(path) as stream:
            stream.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("table.csv", "before")]


def test_a_finished_write_replaces_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_atomically(path, "before")
    with open_atomically(path) as stream:
        stream.write(b"after")
        assert path.read_text() == "before"
    assert path.read_bytes() == b"after"


def test_two_writers_at_once_each_write_a_file_of_their_own_and_the_last_to_finish_wins(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with open_atomically(path) as first:
        first.write(b"first")
        with open_atomically(path) as second:
            second.write(b"second")
        assert path.read_text() == "second"
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("table.csv", "first")]


def test_a_temporary_path_keeps_the_suffix_that_writers_need(tmp_path: Path) -> None:
    with replace_atomically(tmp_path / "model.safetensors") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".safetensors"
        temporary.write_text("weights")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("model.safetensors", "weights")]


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_atomically(tmp_path / "atomic", "")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode
