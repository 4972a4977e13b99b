"""PyTorch's work on a scripted clock: a network, a data set and an optimizer whose parts each take a known time."""

from typing import Any

import torch

from tests.helpers.clocks import ScriptedClock

MS = 1_000_000
ITEM, FORWARD, BACKWARD, ZERO_GRAD, STEP = 1 * MS, 10 * MS, 20 * MS, 2 * MS, 5 * MS
"""of an item of the data set, and of the parts of a step"""
EVALUATED = 3 * MS
"""of a forward pass in evaluation mode"""


class Slow(torch.autograd.Function):
    """The identity, which takes its time in both directions."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, clock: ScriptedClock) -> torch.Tensor:
        ctx.clock = clock
        clock.advance(FORWARD)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        ctx.clock.advance(BACKWARD)
        return gradient, None


class SlowLinear(torch.nn.Module):
    """A linear classifier of four features into two classes, with fixed weights at first."""

    def __init__(self, clock: ScriptedClock) -> None:
        super().__init__()
        self.clock = clock
        self.linear = torch.nn.Linear(4, 2)
        with torch.no_grad():
            self.linear.weight.copy_(torch.arange(8).reshape(2, 4) / 10)
            self.linear.bias.zero_()

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Cross entropy, mean over the batch."""
        if self.training:
            x = Slow.apply(self.linear(x), self.clock)
        else:
            self.clock.advance(EVALUATED)
            x = self.linear(x)
        return torch.nn.functional.cross_entropy(x, y)


class SlowItems(torch.utils.data.Dataset[Any]):
    """`count` items of four features and a class, in an order that does not change."""

    def __init__(self, count: int, clock: ScriptedClock, names: tuple[str, str] | None = None) -> None:
        self.x = torch.linspace(-1, 1, 4 * count).reshape(count, 4)
        self.y = torch.arange(count) % 2
        self.clock, self.names = clock, names

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> Any:
        self.clock.advance(ITEM)
        item = self.x[i], self.y[i]
        return item if self.names is None else dict(zip(self.names, item, strict=True))


class SlowSGD(torch.optim.SGD):
    """SGD whose calls take their time."""

    def __init__(self, parameters: Any, clock: ScriptedClock) -> None:
        super().__init__(parameters, lr=0.1)
        self.clock = clock

    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        self.clock.advance(STEP)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.clock.advance(ZERO_GRAD)
        super().zero_grad(set_to_none)
