"""What a matrix has found so far: the state of its cells, and a series of versions per set of equal conditions."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from epoch_gap.profiler.matrix.cell_state import CellState, CellStatus
from epoch_gap.profiler.matrix.matrix import Configuration, Matrix
from epoch_gap.profiler.matrix.version_series import VersionSeries
from epoch_gap.profiler.storage.run import Run


@dataclass(frozen=True)
class MatrixResult:
    """A matrix with its cells' states and the series of its complete runs."""

    matrix: Matrix
    states: tuple[CellState, ...]
    """of every cell, in the order in which they run"""
    runs: tuple[Run, ...]
    """of the complete cells, by configuration and repeat"""
    series: tuple[VersionSeries, ...]
    """in the order of the configurations"""
    layer_failures: Mapping[str, str] = field(default_factory=dict)
    """the reason why layer times are missing, by the configuration's title"""

    def count(self, status: CellStatus) -> int:
        """The number of cells in a state."""
        return sum(state.status is status for state in self.states)

    def of_configuration(self, configuration: Configuration) -> list[CellState]:
        """The cells of a configuration, by repeat."""
        own = [state for state in self.states if state.cell.configuration == configuration]
        return sorted(own, key=lambda state: state.cell.repeat)
