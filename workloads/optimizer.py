"""The optimizer and the learning-rate schedules of every training, as data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Adam:
    """The optimizer, the same in every framework."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 5e-4


@dataclass(frozen=True)
class StepLR:
    """lr(epoch) = lr * gamma ** (epoch // step_size)"""

    step_size: int
    gamma: float

    def lr(self, epoch: int) -> float:
        """The learning rate of an epoch, from 0."""
        return ADAM.lr * self.gamma ** (epoch // self.step_size)


ADAM = Adam()
LUCID_SCHEDULE = StepLR(step_size=5, gamma=0.5)
TORCH_SCHEDULE = StepLR(step_size=10, gamma=0.1)
