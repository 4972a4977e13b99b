"""Which phase each line of the training loop is charged to, read off the loop's own source."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from epoch_gap.profiler.drilldown.stacks import Frame
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads import loop

FILE = Path(loop.__file__).name
FOLDER = Path(loop.__file__).parent.name
LOOP = "_train_epoch"


def phase_of(frame: Frame) -> str | None:
    """The phase of a frame of the loop; None for any other frame."""
    if not frame.file.endswith(f"{FOLDER}/{FILE}"):
        return None
    return PHASES.get((frame.function, frame.line))


def _phases() -> dict[tuple[str, int], Phase]:
    tree = ast.parse(inspect.getsource(loop))
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    found: dict[tuple[str, int], Phase] = {}
    for name in (LOOP, "timed"):
        for first, last, phase in _stretches(functions[name].body):
            found.update({(name, line): phase for line in range(first, last + 1)})
    batches = next(node for node in functions[LOOP].body if isinstance(node, ast.For))
    found[LOOP, batches.lineno] = Phase.FETCH  # until the loader calls its collation
    return found


def _stretches(body: list[ast.stmt]) -> Iterator[tuple[int, int, Phase]]:
    """(first line, last line, phase) of the statements up to each mark; a loop's body by itself."""
    pending: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.For):
            pending.clear()
            yield from _stretches(statement.body)
            continue
        pending.append(statement)
        if (phase := _marked(statement)) is not None:
            yield pending[0].lineno, statement.end_lineno or statement.lineno, phase
            pending.clear()


def _marked(statement: ast.stmt) -> Phase | None:
    """The phase of `mark(Phase.X)` or `recorder.mark(Phase.X)`."""
    if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)):
        return None
    called, arguments = statement.value.func, statement.value.args
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    if name != "mark" or not arguments or not isinstance(arguments[0], ast.Attribute):
        return None
    return Phase[arguments[0].attr]


PHASES = _phases()
