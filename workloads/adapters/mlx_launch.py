"""MLX's launcher of ranks, without its busy wait.

Its threads poll whether each rank's standard input is writable. It nearly always is, so they never sleep, and take a
core from the ranks. Ranks read no input, so here nobody polls.
"""

from collections.abc import Sequence
from select import select

from mlx._distributed_utils import launch

type Files = Sequence[int]


def select_to_read(
    reads: Files, writes: Files, errors: Files, seconds: float
) -> tuple[list[int], list[int], list[int]]:
    """As `select.select`, but it never waits for `writes`, and finds none of them ready."""
    return select(reads, [], errors, seconds)


def main() -> None:
    """Launch ranks as `mlx.launch` does, from this process's arguments."""
    launch.select = select_to_read
    launch.main()


if __name__ == "__main__":
    main()
