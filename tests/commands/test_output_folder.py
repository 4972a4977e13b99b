import threading
from pathlib import Path

from epoch_gap.profiler.commands.shared.output_folder import prepare_folder, prepare_report_folder, write_files
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
