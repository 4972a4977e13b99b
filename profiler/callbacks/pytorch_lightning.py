"""The callback for `pytorch_lightning`: `Trainer(callbacks=[RecordingCallback("runs")])`."""

from importlib.metadata import version

import pytorch_lightning as pl

from epoch_gap.profiler.callbacks.lightning_hooks import LightningHooks


class RecordingCallback(LightningHooks, pl.Callback):
    """Records `Trainer.fit()` as a run; the arguments are those of `LightningHooks`."""

    package_version = version("pytorch-lightning")
