"""Resized images: the nearest neighbours of PyTorch, in every loader, and nothing is kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.cifar10.load import load_cifar10
from epoch_gap.workloads.cifar10.resized import ResizedImages, describe_image_clocks, describe_images
from epoch_gap.workloads.experiments import apply_switches
from epoch_gap.workloads.intervention import Collation
from tests.helpers.adapters import build, images, resized
from tests.helpers.switched_training import workload_of

LOADERS = [("torch", "cpu"), ("lucid", "cpu"), ("mlx", "cpu")]
each_loader = pytest.mark.parametrize(("name", "device"), LOADERS, ids=[name for name, _ in LOADERS])


@pytest.mark.parametrize("size", [16, 31, 32, 33, 64, 100, 224])
def test_pixels_are_those_of_torchs_nearest_neighbour(size: int) -> None:
    import torch

    x, _ = images(3, 32)
    expected = torch.nn.functional.interpolate(torch.from_numpy(x), size=(size, size), mode="nearest-exact").numpy()
    made = ResizedImages(x, size)
    assert made.shape == expected.shape
    assert len(made) == 3
    assert (made[:] == expected).all()
    assert (made[1] == expected[1]).all()
    assert (made[[2, 0]] == expected[[2, 0]]).all()


def test_an_image_is_a_plain_array_that_may_be_changed() -> None:
    x, _ = images(2, 32)
    made = ResizedImages(x, 64)
    made[0][:] = 9
    assert made[0].max() < 9
    assert made[0].flags.writeable
    assert made[0].dtype == np.float32


def test_data_of_another_size_is_the_same_data_resized_when_it_is_read() -> None:
    plain = load_cifar10("synthetic", train_limit=20, test_limit=10)
    large = load_cifar10("synthetic", train_limit=20, test_limit=10, image_size=64)
    assert isinstance(plain.x_train, np.ndarray)
    assert isinstance(large.x_train, ResizedImages)
    assert (large.x_train.shape, large.x_test.shape) == ((20, 3, 64, 64), (10, 3, 64, 64))
    assert (large.x_test[:][:, :, ::2, ::2] == plain.x_test[:]).all()
    assert (large.y_train == plain.y_train).all()
    assert (large.sha256, large.source, large.kind) == (plain.sha256, plain.source, plain.kind)


def test_memory_mapped_images_are_resized_too(tmp_path: Path) -> None:
    mapped = load_cifar10("synthetic", mmap=True, cache_dir=tmp_path, train_limit=20, test_limit=10, image_size=48)
    plain = load_cifar10("synthetic", train_limit=20, test_limit=10, image_size=48)
    assert (mapped.x_test[3] == plain.x_test[3]).all()
    assert type(mapped.x_test[3]) is np.ndarray


@each_loader
@pytest.mark.parametrize("switches", [(), ("collate_by_indexing",)], ids=["plain", "by indexing"])
def test_every_loader_reads_the_images_of_its_order(name: str, device: str, switches: tuple[str, ...]) -> None:
    framework: Any = build(name, device)
    x, y = resized(8, 40)
    order = [5, 0, 7, 2, 1]
    collation = Collation(lambda collate: collate)
    loader: Any = framework.loader(x, y, 3, False, collation, order)
    workload = replace(workload_of(framework), loader=loader, collation=collation, images=x, labels=y)
    undo = apply_switches(switches, workload)
    try:
        batches = [(np.asarray(inputs), np.asarray(labels)) for inputs, labels in loader]
    finally:
        undo()
    assert [len(labels) for _, labels in batches] == [3, 2]
    assert (np.concatenate([inputs for inputs, _ in batches]) == x[order]).all()
    assert (np.concatenate([labels for _, labels in batches]) == y[order]).all()
    assert batches[0][0].shape == (3, 3, 40, 40)


def test_a_run_tells_how_its_images_were_resized_only_if_they_were() -> None:
    x, _ = images(2, 32)
    assert describe_images(x) == describe_image_clocks(x) == {}
    assert describe_images(ResizedImages(x, 224)) == {
        "images": "224 x 224, by nearest neighbour, each when it is read"
    }
    (clock,) = describe_image_clocks(ResizedImages(x, 224)).items()
    assert clock[0] is Phase.FETCH
    assert "resized" in clock[1]
    assert len(clock[1]) <= 80
