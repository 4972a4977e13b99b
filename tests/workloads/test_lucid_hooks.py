"""Hooks of Lucid's modules that not every version has."""

from collections.abc import Callable
from typing import Any

from epoch_gap.workloads.adapters.lucid_import import prepare


class Old:
    """A module of Lucid 2.11: its call goes to `forward`, and it has no hook before it."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __call__(self, *args: Any) -> Any:
        return self.forward(*args)

    def forward(self, value: int) -> int:
        self.calls.append("forward")
        return value + 1


class New(Old):
    def __init__(self) -> None:
        super().__init__()
        self.hooks: list[Callable[..., None]] = []

    def __call__(self, *args: Any) -> Any:
        for hook in self.hooks:
            hook(self, args)
        return self.forward(*args)

    def register_forward_pre_hook(self, hook: Callable[..., None]) -> Callable[[], None]:
        self.hooks.append(hook)
        return lambda: self.hooks.remove(hook)


def test_a_hook_is_called_before_forward_in_every_version_and_can_be_removed() -> None:
    prepare()
    from epoch_gap.workloads.adapters.lucid_spans import before_forward

    for module in (Old(), New()):
        undo = before_forward(module, lambda module, args: module.calls.append(args))
        assert module(1) == 2
        assert module.calls == [(1,), "forward"]
        undo()
        assert module(2) == 3
        assert module.calls == [(1,), "forward", "forward"]
        assert "forward" not in vars(module)
