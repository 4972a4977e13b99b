"""The article's results for its two runs (20 epochs, batch 128, MLX/Metal and MPS). They were not measured here."""

from typing import NamedTuple


class ArticleRun(NamedTuple):
    """One column of the article's table, with its ranges as printed there."""

    title: str
    epoch_seconds: float
    first_batch_loss: str
    train_loss: str
    test_loss: str
    train_acc: str
    test_acc: str


ARTICLE = {
    "lucid": ArticleRun("Lucid, article", 136.0, "up to 6", "0.08", "0.6", "0.93-0.95", "0.84-0.86"),
    "torch": ArticleRun("PyTorch, article", 54.0, "2.4", "0.02", "0.4", "0.97-0.98", "0.89-0.91"),
}
"""by framework"""
EPOCH = 16
"""The epoch whose losses the article prints."""
SETTING = "batch 128, MLX/Metal and MPS"
"""the article's batch size and devices"""


def slower_and_faster() -> tuple[str, str]:
    """The article's two frameworks, the slower one first."""
    slower, faster = sorted(ARTICLE, key=lambda name: -ARTICLE[name].epoch_seconds)
    return slower, faster


def epoch_ratio() -> float:
    """The slower framework's epoch over the faster one's."""
    slower, faster = slower_and_faster()
    return ARTICLE[slower].epoch_seconds / ARTICLE[faster].epoch_seconds


GUESSES = {
    1: "The kernels and the back end are less mature.",
    2: "It matters when tensors are materialised (`loss.eval()`).",
    3: "Logging, checkpoints and the data path take a part of the time.",
    4: "The learning-rate schedule makes the plateau of the accuracy.",
    5: "Initialisation and the conversion of tensors make the first losses jump.",
    6: "The loss is read by `float(loss.data)` instead of `.item()`.",
}
"""the article's explanations, by number; it tested none of them"""
