"""What ranks tell one another, as bytes: dataclasses, lists, numbers, text and arrays. Nothing executable.

A header in JSON, then the arrays one after the other. Whoever reads says what
type is expected; anything else is an error.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from spice.errors import TrainingError

_LENGTH = struct.Struct("<Q")


def encode(value: Any) -> bytes:
    """A value as bytes. Rows of a matrix that are equal are sent once: the masks of a grammar repeat all the time."""
    arrays: list[NDArray[Any]] = []
    header = json.dumps({"value": _plain(value, arrays), "arrays": [[a.dtype.str, list(a.shape)] for a in arrays]})
    data = header.encode()
    return b"".join([_LENGTH.pack(len(data)), data, *(np.ascontiguousarray(a).tobytes() for a in arrays)])


def decode(data: bytes, expected: Any) -> Any:
    """What `encode` wrote.

    Args:
        data: the bytes.
        expected: its type, such as `list[Attempt]`.

    Raises:
        TrainingError: the bytes are not of that type; the ranks run different versions.
    """
    try:
        (length,) = _LENGTH.unpack_from(data)
        end = _LENGTH.size + length
        header = json.loads(data[_LENGTH.size : end])
        arrays = []
        for kind, shape in header["arrays"]:
            array = np.frombuffer(data, np.dtype(kind), int(np.prod(shape, dtype=np.int64)), end).reshape(shape)
            arrays.append(array.copy())
            end += array.nbytes
        return _typed(header["value"], expected, arrays)
    except (struct.error, ValueError, KeyError, TypeError, IndexError) as error:
        raise TrainingError(
            f"A rank sent what this one cannot read ({error}). Start all ranks from the same version of the package."
        ) from error


def _plain(value: Any, arrays: list[NDArray[Any]]) -> Any:  # noqa: PLR0911  one for each kind
    """A value as JSON; arrays are put aside and become their number."""
    if is_dataclass(value) and not isinstance(value, type):
        return [_plain(getattr(value, field.name), arrays) for field in fields(value)]
    if isinstance(value, np.ndarray):
        if value.ndim == 2 and len(value) > 1:
            rows, which = np.unique(value, axis=0, return_inverse=True)
            arrays += [rows, which.reshape(-1).astype(np.int32)]
            return [len(arrays) - 2, len(arrays) - 1]
        arrays.append(value)
        return [len(arrays) - 1]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return [[_plain(key, arrays), _plain(item, arrays)] for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(item, arrays) for item in value]
    return value


def _typed(value: Any, expected: Any, arrays: Sequence[NDArray[Any]]) -> Any:  # noqa: PLR0911  one for each kind
    """A value of JSON as the type that was expected."""
    origin, inner = get_origin(expected), get_args(expected)
    if is_dataclass(expected):
        hints = _hints(cast("type", expected))
        return expected(*(_typed(item, hint, arrays) for item, hint in zip(value, hints, strict=True)))  # type: ignore[operator]
    if origin is np.ndarray:
        found = [arrays[number] for number in value]
        return found[0][found[1]] if len(found) == 2 else found[0]
    if origin is tuple:
        kinds = [inner[0]] * len(value) if len(inner) == 2 and inner[1] is Ellipsis else inner
        return tuple(_typed(item, kind, arrays) for item, kind in zip(value, kinds, strict=True))
    if origin is dict:
        return {_typed(key, inner[0], arrays): _typed(item, inner[1], arrays) for key, item in value}
    if origin in (list, Sequence) or (isinstance(origin, type) and issubclass(origin, Sequence)):
        return [_typed(item, inner[0], arrays) for item in value]
    if origin in (Union, UnionType):
        chosen = NoneType if value is None else next(kind for kind in inner if kind is not NoneType)
        return _typed(value, chosen, arrays)
    if origin is Literal:
        if value not in inner:
            raise ValueError(f"{value!r} is none of {inner}")
        return value
    if not isinstance(value, expected) and not (expected is float and isinstance(value, int)):
        raise TypeError(f"{type(value).__name__} in place of {expected.__name__}")
    return value


@cache
def _hints(kind: type) -> list[Any]:
    hints = get_type_hints(kind)
    return [hints[field.name] for field in fields(kind)]
