"""Synthetic images for training without CIFAR-10: the same shapes and number of classes, but a different task.

Every class has a smooth random template. An image is the template of its class, shifted by a few pixels, blended
with the template of another class and covered with noise. A small CNN learns the task; a nearest-template classifier
solves only a part of it.
"""

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from epoch_gap.workloads.cifar10.images import Images

CLASS_COUNT: Final = 10
_CHUNK: Final = 1000
"""images at a time; temporary arrays take about 12 MB each"""
_MAX_SHIFT: Final = 4
"""the largest shift of an image in pixels, in either direction, in x and in y"""
_WAVES: Final = 6
"""cosines per axis in a template; the finest detail is about 5 pixels"""
_CONTRAST: Final = 50.0
"""standard deviation of a template, in grey levels of 255"""
_NOISE: Final = 40
"""half width of the uniform noise, in grey levels"""


def make_synthetic(train: int, test: int, seed: int) -> Images:
    """Make `train` and `test` labelled images, balanced: uint8 (N, 3, 32, 32) and uint8 (N,) in 0..9.

    Equal arguments give equal bytes. The templates depend on `seed` only: sets of any size pose the same task.
    """
    shifted = _shifted_templates(np.random.default_rng([seed, 0]))
    x_train, y_train = _draw(shifted, train, np.random.default_rng([seed, 1]))
    x_test, y_test = _draw(shifted, test, np.random.default_rng([seed, 2]))
    return Images(x_train, y_train, x_test, y_test)


def identity(seed: int) -> str:
    """The SHA-256 of the patterns of a seed: the same for sets of any size."""
    return hashlib.sha256(_shifted_templates(np.random.default_rng([seed, 0])).tobytes()).hexdigest()


def templates(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw one smooth pattern per class: (10, 3, 32, 32), mean 0, standard deviation 50 grey levels."""
    positions = np.arange(32)[:, None] + 0.5
    waves = np.cos(np.pi * positions * np.arange(_WAVES) / 32)
    strengths = rng.standard_normal((CLASS_COUNT, 3, _WAVES, _WAVES))
    patterns = waves @ strengths @ waves.T
    patterns -= patterns.mean(axis=(1, 2, 3), keepdims=True)
    patterns *= _CONTRAST / patterns.std(axis=(1, 2, 3), keepdims=True)
    return patterns.astype(np.float32)


def _shifted_templates(rng: np.random.Generator) -> NDArray[np.float32]:
    """Every template at every shift: (10, shifts, 3, 32, 32), 10 MB. An image is drawn by a look-up."""
    unshifted = templates(rng)
    shifts = range(-_MAX_SHIFT, _MAX_SHIFT + 1)
    return np.stack([np.roll(unshifted, (dy, dx), axis=(2, 3)) for dy in shifts for dx in shifts], axis=1)


def _draw(
    shifted: NDArray[np.float32], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    labels = rng.permutation(np.arange(count) % CLASS_COUNT).astype(np.uint8)
    images = np.empty((count, 3, 32, 32), np.uint8)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        images[part] = _blend(shifted, labels[part], rng)
    return images, labels


def _blend(shifted: NDArray[np.float32], labels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """Grey levels 0..255 of one chunk: at least half from the image's class, the rest from another, plus noise."""
    count, shifts = len(labels), shifted.shape[1]
    others = (labels + rng.integers(1, CLASS_COUNT, count)) % CLASS_COUNT
    own = rng.uniform(0.5, 1.0, (count, 1, 1, 1)).astype(np.float32)
    pixels = shifted[labels, rng.integers(shifts, size=count)]
    pixels *= own
    other = shifted[others, rng.integers(shifts, size=count)]
    other *= 1 - own
    pixels += other
    pixels += rng.integers(-_NOISE, _NOISE, pixels.shape, dtype=np.int8, endpoint=True)
    pixels += 120  # the mean grey level of CIFAR-10
    return np.clip(pixels, 0, 255, out=pixels)
