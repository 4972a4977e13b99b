"""The order of the training images: shared by all frameworks, or each framework's own."""

import numpy as np
import pytest

from epoch_gap.workloads.data_order import DataOrder, describe_clocks, describe_order, share_order
from epoch_gap.workloads.presets import PRESETS
from tests.helpers.adapters import SEED, build, images

COUNT, BATCH = 21, 4


def labels_of_epochs(name: str, seed: int = SEED, epochs: int = 2) -> list[list[int]]:
    """The labels of every epoch, in the order of a shared loader; each image has its own label."""
    framework, (x, _) = build(name, "cpu"), images(COUNT, side=2)
    y = np.arange(COUNT)
    loader = share_order(lambda order: framework.loader(x, y, BATCH, False, lambda c: c, order), COUNT, seed)
    return [[int(label) for _, labels in loader for label in labels] for _ in range(epochs)]


def test_frameworks_read_the_same_images_in_the_same_order() -> None:
    torch, lucid, mlx = (labels_of_epochs(name) for name in ("torch", "lucid", "mlx"))
    assert torch == lucid == mlx


def test_each_epoch_has_a_new_order_of_all_images_drawn_from_the_seed() -> None:
    first, second = labels_of_epochs("mlx")
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert first != second
    assert labels_of_epochs("mlx") == [first, second]
    assert labels_of_epochs("mlx", seed=SEED + 1)[0] != first


@pytest.mark.parametrize("name", ["torch", "lucid", "mlx"])
def test_images_keep_their_labels_in_a_shared_order(name: str) -> None:
    framework, (x, _) = build(name, "cpu"), images(COUNT, side=2)
    loader = share_order(
        lambda order: framework.loader(x, np.arange(COUNT), BATCH, False, lambda c: c, order), COUNT, SEED
    )
    assert all(
        np.array_equal(np.asarray(image), x[int(label)])
        for inputs, labels in loader
        for image, label in zip(inputs, labels, strict=True)
    )


def test_the_default_job_and_the_curve_share_the_order() -> None:
    assert {name for name, preset in PRESETS.items() if preset.data_order is DataOrder.SHARED} == {"quick", "curve"}


def test_a_shared_order_is_described_with_its_seed_and_a_frameworks_own_is_not() -> None:
    assert "7" in describe_order(DataOrder.SHARED, 7)["data_order"]
    assert not describe_order(DataOrder.FRAMEWORK, 7)
    assert all(len(text) <= 80 for text in describe_clocks(DataOrder.SHARED).values())
