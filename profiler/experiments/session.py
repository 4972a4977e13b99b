"""A session of experiments as stored: its predictions, sealed before the first measured step, and its results.

The seal of a prediction is a digest of its content and of the seal before it, as of a run's rows. The last seal is
the session id of every run that the session measures, so a prediction that was changed and sealed again does not fit
the runs.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from epoch_gap.profiler.analysis.stats import Estimate
from epoch_gap.profiler.experiments.prediction import Change
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.manifest import NETWORK_FIELDS, Network
from epoch_gap.profiler.storage.seals import START, chained, digest_of_values
from epoch_gap.profiler.storage.typed_json import convert_json

SCHEMA_VERSION = 1
FILE = "session.json"
Mean = dict[str, float | None]
"""an estimate as stored: `value`, `variance` and `dof`; null degrees of freedom are infinite"""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A test: what it does, and what is predicted, in seconds per epoch."""

    name: str
    """the experiments that are on, joined by ` + `"""
    experiments: tuple[str, ...]
    switches: tuple[str, ...] = ()
    """as `--switch` names them"""
    options: Mapping[str, str] = field(default_factory=dict)
    """options of `run`, without hyphens; an empty value is a flag. If the test alternates, of its whole process"""
    claim: str
    guess: int | None = None
    """the article's guess that it tests"""
    may_change: tuple[str, ...]
    """phases"""
    keeps: float | None
    """0: the losses stay bit for bit; more: the relative tolerance on the first step; null: anything"""
    is_control: bool = False
    alternates: bool = True
    """whether it is turned on and off within a process, or compared between fresh ones"""
    delays: tuple[float, ...] = ()
    """of a dose-response: the seconds of each level"""
    phases: Mapping[str, Mean] = field(default_factory=dict)
    """the predicted change by phase"""
    whole: Mean | None = None
    """the predicted change of the epoch; null: nothing is predicted, see `missing`"""
    is_bound: bool = False
    missing: str = ""
    """why nothing is predicted"""
    seal: str = ""

    @property
    def change(self) -> Change | None:
        """The predicted change; None without a prediction."""
        if self.whole is None:
            return None
        phases = {Phase(name): read_estimate(part) for name, part in self.phases.items()}
        return Change(phases=phases, whole=read_estimate(self.whole), is_bound=self.is_bound)

    @property
    def changing_phases(self) -> tuple[Phase, ...]:
        """The phases that may change."""
        return tuple(map(Phase, self.may_change))


@dataclass(frozen=True, kw_only=True)
class Result:
    """The runs of a test."""

    name: str
    """of the forecast"""
    runs: tuple[str, ...]
    """ids; of fresh processes in turn: off, on, off, on ..."""
    problem: str = ""
    """why there is no result"""


@dataclass(frozen=True, kw_only=True)
class Session:
    """The experiments of one command on one side."""

    id: str = ""
    """the name of its directory when it was created"""
    schema_version: int = SCHEMA_VERSION
    created: str = ""
    """UTC, ISO 8601"""
    framework: str
    title: str
    """of the side, in reports"""
    device: str
    batch_size: int
    model: str | None = None
    """of the side; null: the article's, as in older sessions"""
    image_size: int | None = None
    """of the side; null: the article's, as in older sessions"""
    epoch_steps: float
    """training steps of an epoch, with the last partial one as its share"""
    epoch: Mean
    """seconds of an epoch in the stored runs"""
    floor: float | None = None
    """the machine's noise floor, as a share; null: not measured"""
    baseline: tuple[str, ...]
    """the ids of the stored runs from which the predictions are computed"""
    drilldowns: tuple[str, ...] = ()
    """the names of the drill-downs"""
    isolated: Mapping[str, Mean] = field(default_factory=dict)
    """times of variants in isolation, new over present"""
    forecasts: tuple[Forecast, ...]
    results: tuple[Result, ...] = ()

    @property
    def network(self) -> Network:
        """The side's network and the size of its images."""
        return Network.from_stored(self.model, self.image_size)

    @property
    def seal(self) -> str:
        """The last seal; the session id of the measured runs."""
        return self.forecasts[-1].seal if self.forecasts else ""

    def result(self, name: str) -> Result | None:
        """The result of a test; None if it was not measured."""
        return next((result for result in self.results if result.name == name), None)


def session_from_json(data: Any, name: str = FILE) -> Session:
    """Read a session's JSON values. Raises UserError with the field of `name` that is missing or wrong."""
    return convert_json(data, Session, name)


def store_estimate(estimate: Estimate) -> Mean:
    """The stored form of an estimate."""
    dof = None if math.isinf(estimate.dof) else estimate.dof
    return {"value": estimate.value, "variance": estimate.variance, "dof": dof}


def read_estimate(stored: Mapping[str, float | None]) -> Estimate:
    """The estimate from its stored form."""
    dof = stored.get("dof")
    return Estimate(stored["value"] or 0.0, stored["variance"] or 0.0, math.inf if dof is None else dof)


def seal_forecasts(session: Session) -> Session:
    """The session, as it will be read back, with every prediction sealed."""
    unsealed = replace(session, forecasts=tuple(replace(forecast, seal="") for forecast in session.forecasts))
    session = session_from_json(json.loads(json.dumps(msgspec.to_builtins(unsealed))))
    sealed = tuple(replace(f, seal=seal) for f, seal in zip(session.forecasts, _seals(session), strict=True))
    return replace(session, forecasts=sealed)


def edited_forecasts(session: Session, run_sessions: Iterable[str]) -> set[str]:
    """The names of predictions that are not as they were sealed before the runs with these session ids.

    All of them if the runs know another last seal: then the seals themselves were made again.
    """
    if any(known != session.seal for known in run_sessions):
        return {forecast.name for forecast in session.forecasts}
    seals = zip(session.forecasts, _seals(session), strict=True)
    return {forecast.name for forecast, seal in seals if forecast.seal != seal}


def _seals(session: Session) -> list[str]:
    """What each seal should be, given the stored one before it."""
    header = replace(session, forecasts=(), results=(), id="")
    previous = [chained(START, digest_of_values(header, NETWORK_FIELDS)).hex(), *(f.seal for f in session.forecasts)]
    seals: list[str] = []
    for forecast, before in zip(session.forecasts, previous, strict=False):
        before = before or seals[-1]  # not sealed yet
        seals.append(chained(bytes.fromhex(before), digest_of_values(replace(forecast, seal=""))).hex())
    return seals
