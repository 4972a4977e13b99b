"""Presets: named amounts of training per run."""

from dataclasses import dataclass

from epoch_gap.workloads.data_order import DataOrder


@dataclass(frozen=True)
class Preset:
    """An amount of training; None means no limit."""

    batch_size: int = 128
    epochs: int = 1
    steps: int | None = None
    """training steps per epoch"""
    seconds: float | None = None
    """time limit of training and evaluation per epoch"""
    share: float | None = None
    """training ends when the 95 % interval of the epoch time is within +- this share"""
    train_limit: int | None = None
    test_limit: int | None = None
    fence: str = "none"
    """none | alternate | all: the training steps that wait before each mark"""
    data_order: DataOrder = DataOrder.FRAMEWORK


PRESETS = {
    "smoke": Preset(batch_size=4, steps=4, train_limit=160, test_limit=8),
    "quick": Preset(seconds=300.0, share=0.02, test_limit=1024, fence="alternate", data_order=DataOrder.SHARED),
    "epoch": Preset(),
    "article": Preset(epochs=20),
    "curve": Preset(batch_size=32, epochs=20, train_limit=256, test_limit=200, data_order=DataOrder.SHARED),
}
