"""How much of the training a run does."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """A named amount of work; None means all of it."""

    batch_size: int = 128
    epochs: int = 1
    steps: int | None = None
    """training steps per epoch"""
    seconds: float | None = None
    """of training per epoch"""
    share: float | None = None
    """an epoch's training ends when its 95 % interval is within +- this share of it"""
    train_limit: int | None = None
    test_limit: int | None = None
    fence: str = "none"
    """none | alternate | all: which training steps wait before each mark"""


PRESETS = {
    "smoke": Preset(batch_size=4, steps=4, train_limit=160, test_limit=8),
    "quick": Preset(seconds=300.0, share=0.02, test_limit=1024, fence="alternate"),
    "epoch": Preset(),
    "article": Preset(epochs=20),
}
