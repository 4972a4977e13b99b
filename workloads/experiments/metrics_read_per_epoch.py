"""The article's sixth guess, taken further: loss and accuracy are read once per epoch."""

from collections.abc import Callable
from typing import Any

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Ratio
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.intervention import Undo, replace_attribute, replace_in_training, scale_script, undo_all
from epoch_gap.workloads.unread_sum import UnreadSum

EXPERIMENT = Experiment(
    name="metrics_read_per_epoch",
    claim="Reading the loss and the right answers in every step is what makes the metrics slow.",
    guess=6,
    frameworks=("lucid", "mlx", "torch", "fake"),
    may_change=(Phase.METRICS, Phase.LOGGING),
    prediction=Ratio((Phase.METRICS,), isolated="variants"),
    keeps=0.0,
)
CLOCKS = {
    Phase.METRICS: "argmax, ==, sum of the right answers; nothing is read",
    Phase.LOGGING: "tqdm without the numbers; at its end, all losses and answers are read",
}
Compute = Callable[[Any, Any, Any], tuple[Any, Any, int]]
"""(logits, loss, targets) -> (loss, right answers, images), the first two not read"""


def apply(workload: Workload, dose: float) -> Undo:
    """Keep the losses and the right answers of the steps, and read them before the bar closes."""
    framework, progress, recorder = workload.framework, workload.progress, workload.recorder
    unread: list[UnreadSum] = []

    def without_reading(metrics: Callable[..., Any]) -> Callable[..., Any]:
        compute = _COMPUTE[framework.name](framework, metrics)

        def keep(logits: Any, loss: Any, targets: Any) -> tuple[None, UnreadSum, UnreadSum, int]:
            loss, hits, images = compute(logits, loss, targets)
            sums = UnreadSum(lambda: float(loss) * images), UnreadSum(lambda: int(hits))
            unread.extend(sums)
            return None, *sums, images

        return keep

    def without_numbers(close_step: Callable[..., Any]) -> Callable[..., Any]:
        return lambda images, loss, correct: close_step(images)

    close = progress.close

    def read_and_close() -> None:
        for number in unread:
            number.read()
        unread.clear()
        close()

    return undo_all(
        [
            replace_in_training(framework, framework, "metrics", without_reading),
            replace_in_training(framework, recorder, "close_step", without_numbers),
            replace_attribute(progress, "close", read_and_close),
        ]
    )


def variants(
    framework: Framework, logits: Any, loss: Any, targets: Any
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The metrics of a step, with and without reading them."""
    compute = _COMPUTE[framework.name](framework, framework.metrics)
    return lambda: framework.metrics(logits, loss, targets), lambda: compute(logits, loss, targets)


def _of_torch(framework: Framework, metrics: Callable[..., Any]) -> Compute:
    return lambda logits, loss, targets: (
        loss.detach(),
        (logits.argmax(dim=1) == targets).sum(),
        targets.size(0),
    )


def _of_lucid(framework: Framework, metrics: Callable[..., Any]) -> Compute:
    import lucid

    def compute(logits: Any, loss: Any, targets: Any) -> tuple[Any, Any, int]:
        with lucid.no_grad():
            hits = (lucid.argmax(logits, axis=1) == targets).sum()
        return loss.data, hits.data, targets.size

    return compute


def _of_mlx(framework: Framework, metrics: Callable[..., Any]) -> Compute:
    return lambda logits, loss, targets: (loss, (logits.argmax(axis=1) == targets).sum(), int(targets.size))


def _of_fake(framework: Any, metrics: Callable[..., Any]) -> Compute:
    """Its numbers are there; without the script's cost of reading them."""

    def compute(logits: Any, loss: Any, targets: Any) -> tuple[Any, Any, int]:
        undo = scale_script(framework, {Phase.METRICS: 0.0})
        loss, _, hits, images = metrics(logits, loss, targets)
        undo()
        return loss, hits, images

    return compute


_COMPUTE: dict[str, Callable[[Framework, Callable[..., Any]], Compute]] = {
    "lucid": _of_lucid,
    "mlx": _of_mlx,
    "torch": _of_torch,
    "fake": _of_fake,
}
