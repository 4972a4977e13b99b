"""The phase vocabulary: each has one name, as JSON key, legend label, database column and adapter method."""

import re
from collections.abc import Iterable
from enum import StrEnum

OWN_NAME = re.compile("[a-z][a-z0-9_]{0,39}")
"""the form of a custom loop's own phase names"""
RESERVED = frozenset({"start", "wall", "paused", "user", "system", "epoch"})
"""no phase's names: `<name>_ns` or `<name>_s` is another column"""


_OWN: dict[str, "Phase"] = {}
"""the custom loops' own phases so far, by name"""


class Phase(StrEnum):
    """The phases of an epoch, in display order.

    A custom loop may have phases of its own: `Phase("clip_grad")` is one, too, but iteration yields only those below.
    A name that can be no column raises ValueError.
    """

    EPOCH_START = "epoch_start"
    FETCH = "fetch"
    COLLATE = "collate"
    TO_DEVICE = "to_device"
    ZERO_GRAD = "zero_grad"
    FORWARD = "forward"
    MATERIALIZE = "materialize"
    BACKWARD = "backward"
    STEP = "step"
    COMPILED = "compiled_step"
    METRICS = "metrics"
    LOGGING = "logging"
    FLUSH = "flush"
    EVALUATE = "evaluate"
    CHECKPOINT = "checkpoint"
    SKIPPED = "skipped"
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> "Phase | None":
        """A phase of a custom loop; one object per name, like the members."""
        if not isinstance(value, str) or not OWN_NAME.fullmatch(value) or value in RESERVED:
            return None
        if value not in _OWN:
            own = str.__new__(cls, value)
            own._name_ = own._value_ = value
            _OWN.setdefault(value, own)
        return _OWN[value]

    @property
    def is_own(self) -> bool:
        """Whether it is a custom loop's own phase."""
        return self._name_ not in type(self).__members__


MEANING: dict[Phase, str] = {
    Phase.EPOCH_START: "make the loader's iterator, once per epoch; draws a shared order; Lucid shuffles here too",
    Phase.FETCH: "index the dataset and read the items of one batch",
    Phase.COLLATE: "stack the items into one array (np.stack, torch.stack)",
    Phase.TO_DEVICE: "make the framework's tensors and copy them to the device",
    Phase.ZERO_GRAD: "optimizer.zero_grad()",
    Phase.FORWARD: "logits and loss",
    Phase.MATERIALIZE: "loss.eval(): the lazy graph of the loss is computed",
    Phase.BACKWARD: "loss.backward()",
    Phase.STEP: "optimizer.step()",
    Phase.COMPILED: "forward, backward and step compiled into one function (mx.compile, jax.jit): cannot be split",
    Phase.METRICS: "read the loss, count the correct answers",
    Phase.LOGGING: "the progress bar",
    Phase.FLUSH: "wait for work that no step has waited for, once per epoch before evaluate; lazy devices only",
    Phase.EVALUATE: "loss and accuracy on the test set, once per epoch",
    Phase.CHECKPOINT: "save the model, once per epoch",
    Phase.SKIPPED: "batches that the loop dropped; custom loops only",
    Phase.OTHER: "between the phases: wall time minus all of the above",
}

CLOCK: dict[Phase, str] = {
    Phase.EPOCH_START: "from the start of the epoch until train() has returned and the loader's iterator is made",
    Phase.FETCH: "from the start of the batch until the loader calls its collation",
    Phase.COLLATE: "from the end of `fetch` until the collation returns",
    Phase.TO_DEVICE: "from the end of `other` until to_device() ends",
    Phase.ZERO_GRAD: "from the end of `to_device` until zero_grad() ends",
    Phase.FORWARD: "from the end of `zero_grad` until forward() ends",
    Phase.MATERIALIZE: "from the end of `forward` until materialize() ends",
    Phase.BACKWARD: "from the end of `materialize` until backward() ends",
    Phase.STEP: "from the end of `backward` until step() ends",
    Phase.COMPILED: "from the end of `to_device` through zero_grad(), forward(), materialize(), backward(), step()",
    Phase.METRICS: "from the end of `step` until metrics() ends and the epoch's totals are added up",
    Phase.LOGGING: "from the end of `metrics` until the bar is drawn; also after `epoch_start` and `flush`",
    Phase.FLUSH: "from the end of `other`, when the loader has ended, until wait() ends",
    Phase.EVALUATE: "from the start of the batch (the first: evaluating()) through to_device(), forward(), metrics()",
    Phase.CHECKPOINT: "from the end of `other` until save() ends and the file has its final name",
    Phase.SKIPPED: "from the end of the last step until the loop drops the batch",
    Phase.OTHER: "from the end of `collate` until the loop has the batch; also the loader's end, and end_epoch()",
}
"""The start and the end of each clock, in calls of the loop (`workloads/loop.py`), for every framework.

A mark ends a phase, and consecutive marks share a boundary: one phase ends where the next begins. An adapter's
`clocks` list the framework's own calls in between.
"""

EPOCH_PHASES = (Phase.EPOCH_START, Phase.FLUSH, Phase.EVALUATE, Phase.CHECKPOINT)
"""The phases that occur once per epoch; all others occur in every step, except `skipped`, which no step has."""
BUILT_IN = frozenset(Phase) - {Phase.SKIPPED}
"""The phases of the built-in loop."""


def in_order(phases: Iterable[Phase]) -> list[Phase]:
    """Phases in display order, each once; a custom loop's own, in the order given, follow those of every step."""
    given = dict.fromkeys(phases)
    own = [phase for phase in given if phase.is_own]
    after = list(Phase).index(Phase.FLUSH)
    return [*(p for p in list(Phase)[:after] if p in given), *own, *(p for p in list(Phase)[after:] if p in given)]


def all_phases(own: Iterable[Phase]) -> list[Phase]:
    """Every built-in phase, and a custom loop's `own` ones, in display order."""
    return in_order([*Phase, *own])
