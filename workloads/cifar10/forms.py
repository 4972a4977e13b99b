"""The forms in which people store CIFAR-10 arrays, and their conversion to uint8 (N, 3, 32, 32) and labels (N,).

A form is accepted only if it can be converted without a doubt and without a loss; any other is refused with what it
is and how to convert it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.errors import UserError
from epoch_gap.workloads.cifar10.images import SHAPE

MAX_IMAGES: Final = 100_000
"""the largest number of images in a split: twice the official one, so that a header cannot ask for terabytes"""
CHANNELS_LAST: Final = (*SHAPE[1:], SHAPE[0])
_WANTED: Final = {"x": "uint8 (N, 3, 32, 32) or (N, 32, 32, 3)", "y": "integers (N,) or (N, 1)"}


@dataclass(frozen=True)
class Form:
    """How an array is stored."""

    name: str
    """what is converted, empty for nothing"""
    conversions: tuple[Callable[[str, NDArray[Any]], NDArray[Any]], ...] = ()

    def convert(self, key: str, array: NDArray[Any]) -> NDArray[Any]:
        """The array in the stored form of the data set; `key` names it in errors. Raises UserError."""
        for conversion in self.conversions:
            array = conversion(key, array)
        return array


def form_of(key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Form:
    """The form of the array `key` (`x_train`, `y_test`, ...), by its header alone.

    Raises UserError for one that cannot be converted, with what it is and what is expected.
    """
    if len(shape) > 0 and shape[0] <= MAX_IMAGES:
        form = _form_of_pixels(shape, dtype) if key[0] == "x" else _form_of_labels(shape, dtype)
        if form is not None:
            return form
    raise UserError(f"{key} is {dtype} {shape}; expected {_WANTED[key[0]]}, N at most {MAX_IMAGES}")


def _form_of_pixels(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Form | None:
    if shape[1:] not in (SHAPE, CHANNELS_LAST) or not (dtype == np.uint8 or dtype.kind == "f"):
        return None
    names: list[str] = []
    conversions: list[Callable[[str, NDArray[Any]], NDArray[Any]]] = []
    if dtype.kind == "f":
        names.append(f"{dtype} pixels")
        conversions.append(_whole_pixels)
    if shape[1:] == CHANNELS_LAST:
        names.append("channels last")
        conversions.append(lambda key, array: array.transpose(0, 3, 1, 2))
    return Form(", ".join(names), tuple(conversions))


def _form_of_labels(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Form | None:
    if dtype.kind not in "iu" or not (len(shape) == 1 or shape[1:] == (1,)):
        return None
    return Form("", (lambda key, array: array.reshape(-1),))


def _whole_pixels(key: str, array: NDArray[Any]) -> NDArray[np.uint8]:
    """Floats from 0 to 255, or from 0 to 1, as the bytes that they were made from."""
    low, high = float(array.min(initial=0)), float(array.max(initial=0))
    scale = 255 if high <= 1 else 1
    if not (low >= 0 and high * scale <= 255):
        raise UserError(
            f"{key} has values from {low:g} to {high:g}, as of normalised images; store the bytes, "
            "for example ((x * std + mean) * 255).round().astype('uint8')"
        )
    scaled = array * scale
    whole = np.rint(scaled)
    if np.abs(scaled - whole).max(initial=0) > 0.01:
        raise UserError(f"{key} has values between whole pixels, as of resized images; store the original bytes")
    return whole.astype(np.uint8)
