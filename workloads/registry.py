"""Framework names and what each stands for; an adapter, and with it its framework, is imported when asked for."""

from collections.abc import Callable
from typing import Any

from epoch_gap.profiler.errors import UserError
from epoch_gap.workloads import resnet18
from epoch_gap.workloads.framework import Framework


def _torch(device: str, seed: int, **_: Any) -> Framework:
    from epoch_gap.workloads.adapters.torch_resnet import TorchResNet

    return TorchResNet(device, seed)


def _lucid(device: str, seed: int, **_: Any) -> Framework:
    from epoch_gap.workloads.adapters.lucid_resnet import LucidResNet

    return LucidResNet(device, seed)


def _mlx(device: str, seed: int, *, compiled: bool = False, **_: Any) -> Framework:
    from epoch_gap.workloads.adapters.mlx_resnet import MlxResNet

    return MlxResNet(device, seed, compiled)


def _fake(device: str, seed: int, *, batch_size: int, costs: str, lazy: bool, **_: Any) -> Framework:
    from epoch_gap.workloads.adapters.fake import Fake

    if device not in ("auto", "cpu"):
        raise UserError(f"fake has no device {device!r}; choose auto or cpu")
    return Fake(seed, batch_size, costs, lazy)


FRAMEWORKS: dict[str, Callable[..., Framework]] = {
    "lucid": _lucid,
    "torch": _torch,
    "mlx": _mlx,
    "fake": _fake,
}


def build(name: str, device: str, seed: int, **script: Any) -> Framework:
    """Set up a framework; `script` holds what only some take (batch_size, costs, lazy, compiled).

    Raises UserError for an unknown name, device or version, or a network that is not the one compared.
    """
    if name not in FRAMEWORKS:
        raise UserError(f"no framework {name!r}; choose one of: {', '.join(FRAMEWORKS)}")
    if script.get("compiled") and FRAMEWORKS[name] is not _mlx:
        raise UserError(f"--compile is for mlx; {name} has no compiled step")
    framework = FRAMEWORKS[name](device, seed, **script)
    found, expected = framework.parameter_count(), resnet18.parameter_count()
    if found != expected:
        raise UserError(f"{name} built {found} parameters where ResNet-18 has {expected}: not the same network")
    return framework
