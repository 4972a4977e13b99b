"""The phase of each line of the training loop, read from the source of the loop."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from epoch_gap.profiler.drilldown.stacks import Frame
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads import loop

FILE = Path(loop.__file__).name
FOLDER = Path(loop.__file__).parent.name
LOOP, COLLATION, FLUSH = "_train_epoch", "timed", "_flush"
"""the functions of the loop that mark phases within the training"""


def phase_of(frame: Frame) -> str | None:
    """The phase of a frame of the training loop; None for any other frame."""
    if not frame.file.endswith(f"{FOLDER}/{FILE}"):
        return None
    return PHASES.get((frame.function, frame.line))


def _phases() -> dict[tuple[str, int], Phase]:
    """The phase by (function, line)."""
    tree = ast.parse(inspect.getsource(loop))
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    phases: dict[tuple[str, int], Phase] = {}
    for name in (LOOP, COLLATION, FLUSH):
        for first, last, phase in _marked_ranges(functions[name].body):
            phases.update({(name, line): phase for line in range(first, last + 1)})
    batches = next(node for node in functions[LOOP].body if isinstance(node, ast.For))
    phases[LOOP, batches.lineno] = Phase.FETCH  # until the loader calls its collation
    return phases


def _marked_ranges(body: list[ast.stmt]) -> Iterator[tuple[int, int, Phase]]:
    """(first line, last line, phase) of the statements up to each mark; the body of a `for` separately."""
    pending: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.For):
            pending.clear()
            yield from _marked_ranges(statement.body)
            continue
        pending.append(statement)
        if (phase := _marked_phase(statement)) is not None:
            yield pending[0].lineno, statement.end_lineno or statement.lineno, phase
            pending.clear()


def _marked_phase(statement: ast.stmt) -> Phase | None:
    """The phase X of a statement `mark(Phase.X)` or `recorder.mark(Phase.X)`; None for any other."""
    if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)):
        return None
    called, arguments = statement.value.func, statement.value.args
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    if name != "mark" or not arguments or not isinstance(arguments[0], ast.Attribute):
        return None
    return Phase[arguments[0].attr]


PHASES = _phases()
