"""JSON values checked against a dataclass; an error names the field that is wrong."""

import math
from typing import Any

import msgspec

from epoch_gap.profiler.errors import UserError


def convert_json[T](data: Any, kind: type[T], name: str) -> T:
    """`data`, JSON values, as the dataclass `kind`; unknown keys are ignored.

    Raises UserError for a missing field or one of the wrong type: `name`, then msgspec's message without the path's
    root, for example Expected `int`, got `str` in `config.batch_size`.
    """
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise UserError(f"{name}: {str(error).replace('$.', '').replace(' - at ', ' in ')}") from None


def finite_or_none(loss: float | None) -> float | None:
    """A number, such as a loss, as a JSON value: None if it is not finite."""
    return float(loss) if loss is not None and math.isfinite(loss) else None
