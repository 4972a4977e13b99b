"""CIFAR-10 as Hugging Face's parquet files: PNG images in `img.bytes`, and `label`."""

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.errors import UserError
from epoch_gap.workloads.cifar10.forms import CHANNELS_LAST, MAX_IMAGES
from epoch_gap.workloads.cifar10.images import Images, Source, checked, digest_together

SPLITS: Final = ("train", "test")
IMAGE_COLUMNS: Final = ("img", "image")


def open_parquet(folder: Path) -> Source | None:
    """The splits in `train*.parquet` and `test*.parquet` of `folder`, or of one folder in it.

    None if there are no such files. Raises UserError if a split is missing, or several folders have some.
    """
    found = [*folder.glob("*.parquet"), *folder.glob("*/*.parquet")]
    files = {split: sorted(file for file in found if file.name.startswith(split)) for split in SPLITS}
    folders = {file.parent.name for of_split in files.values() for file in of_split}
    if not folders:
        return None
    if len(folders) > 1:
        raise UserError(f"the folders {', '.join(sorted(folders))} have parquet files; give one of them")
    if missing := [split for split in SPLITS if not files[split]]:
        raise UserError(f"no {missing[0]}*.parquet; expected the splits train and test")
    sha256 = digest_together(file for split in SPLITS for file in files[split])
    return Source(f"{folder.resolve().name} (parquet)", sha256, partial(_read, files["train"], files["test"]))


def _read(train: Sequence[Path], test: Sequence[Path]) -> Images:
    return checked(*_read_split(train), *_read_split(test))


def _read_split(files: Sequence[Path]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    import pyarrow.parquet

    pixels: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for file in files:
        parquet = pyarrow.parquet.ParquetFile(file)
        if parquet.metadata.num_rows + len(labels) > MAX_IMAGES:
            raise UserError(f"{file.name} has {parquet.metadata.num_rows} rows; expected at most {MAX_IMAGES}")
        names = parquet.schema_arrow.names
        image = next((name for name in IMAGE_COLUMNS if name in names), None)
        if image is None or "label" not in names:
            raise UserError(f"{file.name} has the columns {', '.join(names)}; expected img (or image) and label")
        for batch in parquet.iter_batches(1000, columns=[image, "label"]):
            rows = batch.to_pydict()
            pixels += [_decode(file, item) for item in rows[image]]
            labels += rows["label"]
    return np.stack(pixels), np.array(labels)


def _decode(file: Path, item: Any) -> NDArray[np.uint8]:
    """One image, channels first; `item` is a struct with the bytes of a PNG."""
    from PIL import Image

    data = item.get("bytes") if isinstance(item, dict) else item
    if not isinstance(data, bytes):
        raise UserError(f"{file.name} has images without bytes; expected the PNG in img.bytes")
    array = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.uint8)
    if array.shape != CHANNELS_LAST:
        raise UserError(f"{file.name} has an image of {array.shape[1]} x {array.shape[0]} pixels; expected 32 x 32")
    return array.transpose(2, 0, 1)
