"""The machine's noise floor: the result of comparing a framework with itself.

Half the 95 % interval of such a comparison is the smallest effect that can be claimed on the machine, however narrow
the interval of another comparison is.
"""

from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.comparison.identity import active_switches
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloor


def measure_noise_floor(gap: Gap) -> NoiseFloor:
    """The noise floor from a comparison of A with A. Raises UserError if its interval is unknown."""
    low, high = gap.ratio.low, gap.ratio.high
    if low is None or high is None:
        raise UserError("the interval of A against A is unknown; run at least two pairs of processes")
    runs = [*gap.slow.runs, *gap.fast.runs]
    first = min(runs, key=lambda run: run.id)
    return NoiseFloor(
        framework=first.config.framework,
        device=first.framework.device,
        batch_size=first.batch_size,
        data=first.manifest.data.kind,
        share=max((high - low) / 2, abs(gap.ratio.value - 1)),
        ratio=gap.ratio.value,
        verdict=gap.verdict,
        processes=len(runs),
        day=first.manifest.created[:10],
        keeps_memory=first.manifest.keeps_memory,
        model=first.config.network.model,
        image_size=first.config.network.image_size,
        switches=active_switches(first.manifest),
    )
