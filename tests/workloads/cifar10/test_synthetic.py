import numpy as np
import pytest

from epoch_gap.workloads.cifar10.synthetic import identity, make_synthetic, templates


def test_images_have_the_shapes_and_types_of_cifar10_and_are_balanced() -> None:
    images = make_synthetic(103, 20, seed=1)
    assert [a.shape for a in images] == [(103, 3, 32, 32), (103,), (20, 3, 32, 32), (20,)]
    assert all(a.dtype == np.uint8 for a in images)
    counts = np.bincount(images.y_train, minlength=10)
    assert counts.max() - counts.min() == 1
    assert np.bincount(images.y_test).tolist() == [2] * 10


def test_a_seed_determines_the_images() -> None:
    first, again, other = (make_synthetic(30, 10, seed) for seed in (7, 7, 8))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first.x_train != other.x_train).any()
    assert identity(7) == identity(7) != identity(8)


def test_train_and_test_images_differ() -> None:
    images = make_synthetic(100, 100, 7)
    assert not np.array_equal(images.x_train, images.x_test)


@pytest.mark.parametrize("train", [10, 2000])
def test_the_task_is_learnable_but_not_trivial(train: int) -> None:
    """The templates depend on the seed only, so that sets of any size pose the same task."""
    images = make_synthetic(train, 2000, seed=42)
    known = templates(np.random.default_rng([42, 0])).reshape(10, -1) + 120
    pixels = images.x_test.reshape(2000, -1).astype(np.float32)
    nearest = (np.square(known).sum(axis=1) - 2 * pixels @ known.T).argmin(axis=1)
    assert 0.6 < (nearest == images.y_test).mean() < 0.95
