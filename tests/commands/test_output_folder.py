import threading
from pathlib import Path

import pytest

from epoch_gap.profiler.commands.shared.output_folder import (
    HISTORIES,
    MATRICES,
    RANKS,
    SCALING,
    prepare_folder,
    prepare_report_folder,
    write_files,
)
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.atomic import replace_atomically


def test_a_temporary_file_of_a_killed_process_does_not_block_the_folder(tmp_path: Path) -> None:
    with replace_atomically(tmp_path / "steps.csv") as temporary:
        temporary.touch()
    temporary.touch()
    assert len(list(tmp_path.iterdir())) == 2
    prepare_folder(tmp_path, {"steps.csv"})
    (tmp_path / "steps.csv").unlink()
    prepare_report_folder(tmp_path)
    assert list(tmp_path.iterdir()) == [temporary]


@pytest.mark.parametrize("folder", [HISTORIES, MATRICES, RANKS, SCALING])
def test_a_first_report_is_written_beside_what_other_commands_wrote_below_it(tmp_path: Path, folder: Path) -> None:
    """Ranks or a scaling measurement in the default folder kept the first `make profile` from starting."""
    written = {HISTORIES: "history.csv", MATRICES: "history.csv", RANKS: "ranks.png", SCALING: "scaling.csv"}
    below = tmp_path / folder.name
    below.mkdir()
    (below / written[folder]).touch()
    prepare_report_folder(tmp_path)
    (below / written[folder]).unlink()
    with pytest.raises(UserError, match=f"contains {folder.name}, which is not part of a report"):
        prepare_report_folder(tmp_path)


def test_two_commands_that_write_to_one_folder_leave_the_files_of_one(tmp_path: Path) -> None:
    names = [f"{i}.txt" for i in range(20)]
    start = threading.Barrier(4)

    def write(text: str) -> None:
        start.wait()
        for _ in range(10):
            write_files(tmp_path, dict.fromkeys(names, text))

    writers = [threading.Thread(target=write, args=(text,)) for text in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len({(tmp_path / name).read_text() for name in names}) == 1
