from pathlib import Path

from epoch_gap.profiler.commands.shared.output_folder import prepare_folder, prepare_report_folder
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
