"""The phase vocabulary: one name for a JSON key, a legend label, a database column and an adapter's method."""

from enum import StrEnum


class Phase(StrEnum):
    """Where an epoch's time can be charged, in the order in which it is shown."""

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
    OTHER = "other"


MEANING: dict[Phase, str] = {
    Phase.EPOCH_START: "make the loader's iterator, once per epoch; Lucid shuffles here, PyTorch in its first fetch",
    Phase.FETCH: "index the dataset and read the items of one batch",
    Phase.COLLATE: "stack the items into one array (np.stack, torch.stack)",
    Phase.TO_DEVICE: "make the framework's tensors and copy them to the device",
    Phase.ZERO_GRAD: "optimizer.zero_grad()",
    Phase.FORWARD: "logits and loss",
    Phase.MATERIALIZE: "loss.eval(): the lazy graph of the loss is computed",
    Phase.BACKWARD: "loss.backward()",
    Phase.STEP: "optimizer.step()",
    Phase.COMPILED: "forward, backward and step compiled into one function (mx.compile): not to be split",
    Phase.METRICS: "read the loss, count the right answers",
    Phase.LOGGING: "the progress bar",
    Phase.FLUSH: "wait for what no step has waited for, once per epoch before evaluate; lazy devices only",
    Phase.EVALUATE: "loss and accuracy on the test set, once per epoch",
    Phase.CHECKPOINT: "save the model, once per epoch",
    Phase.OTHER: "between the phases: wall time minus all of the above",
}

EPOCH_PHASES = (Phase.EPOCH_START, Phase.FLUSH, Phase.EVALUATE, Phase.CHECKPOINT)
"""Phases that happen once per epoch; all others happen in every step."""
