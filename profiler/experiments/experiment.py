"""An experiment as data: what it claims, what it changes, and what it must not change."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from epoch_gap.profiler.experiments.prediction import Prediction
from epoch_gap.profiler.phases import Phase


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A claim and the intervention that tests it."""

    name: str
    """the module's name"""
    claim: str
    """one sentence that can be wrong"""
    guess: int | None = None
    """1 to 6: the article's guess that it tests"""
    frameworks: tuple[str, ...] = ()
    """sides on which it can be tested, as the registry's names; () = any"""
    devices: tuple[str, ...] = ()
    """() = any"""
    needs: str = ""
    """the kind of operation (`Architecture.kinds`) without which a network cannot be tested; empty: any network"""
    may_change: tuple[Phase, ...]
    """the phases that may change; all others must not"""
    prediction: Prediction | None
    """None: the claim is about the accuracy, which `curve` tests, and not about time"""
    keeps: float | None
    """what becomes of the losses: 0.0 = bit for bit, 1e-5 = relative tolerance on the first step, None = anything"""
    alternates: bool = True
    """whether it can be turned on and off within a process"""
    options: Mapping[str, str] = field(default_factory=dict)
    """options of `run` that it sets, without their hyphens; "" for a flag"""
    is_control: bool = False
    needs_ranks: bool = False
    """whether it acts on a distributed training only, by `run --alternate` on every rank"""
