"""What the article reports for its two runs (20 epochs, batch 128, MLX/Metal and MPS). Not measured here."""

from typing import NamedTuple


class ArticleRun(NamedTuple):
    """One column of the article's table; ranges as it prints them."""

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
EPOCH = 16
"""the epoch that the article's losses are of"""
