import io

from epoch_gap.workloads.progress import Lines, Progress


def test_without_a_terminal_the_bar_is_printed_as_a_line_every_few_seconds() -> None:
    now = 0.0
    out = io.StringIO()
    lines = Lines(out, every=10, clock=lambda: now)
    for second in range(35):
        now = float(second)
        lines.write(f"\rstep {second}")
    assert out.getvalue() == "step 10\nstep 20\nstep 30\n"


def test_the_bar_shows_the_estimated_epoch_time() -> None:
    out = io.StringIO()
    progress = Progress("lucid", 4, 391, out)
    progress.start(lr=1e-3)
    progress.update(2.5, 0.1)
    progress.update(2.4, 0.2)
    progress.close()
    assert "lucid" in out.getvalue()
    assert "epoch=~" in out.getvalue()
    assert "loss=2.4" in out.getvalue()
