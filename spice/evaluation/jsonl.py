"""JSONL files of items: one object a line, each validated, errors naming the line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from spice.errors import ConfigError

_MAX_LINE_BYTES = 1_000_000
_Record = TypeVar("_Record", bound=BaseModel)


def read(path: Path, schema: type[_Record], setting: str, manual: str) -> dict[str, _Record]:
    """The file's records by their `id`, in order.

    Args:
        path: the file.
        schema: what a line must be; it has a field `id`.
        setting: that names the file, for messages.
        manual: the page that describes the schema, for messages.

    Raises:
        ConfigError: the file cannot be read, is empty, a line does not fit the schema, or an id is used twice.
    """
    records: dict[str, _Record] = {}
    for number, line in _lines(path, setting):
        where = f"{path}, line {number}"
        try:
            record = schema.model_validate_json(line)
        except ValidationError as error:
            raise ConfigError(f"{where}: {_explain(error)}; see {manual} for the schema") from error
        name = str(record.id)  # type: ignore[attr-defined]
        if name in records:
            raise ConfigError(f"{where}: the id {name!r} was used before; give every item its own")
        records[name] = record
    if not records:
        raise ConfigError(f"{path} holds no items; remove it from {setting} or add some")
    return records


def _lines(path: Path, setting: str) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not blank; the first is 1."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > _MAX_LINE_BYTES:
                    raise ConfigError(f"{path}, line {number}: longer than {_MAX_LINE_BYTES:,} bytes; is this JSONL?")
                if line.strip():
                    yield number, line
    except OSError as error:
        raise ConfigError(f"the suite {path} cannot be read ({error.strerror}); check {setting}") from error


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(map(str, first["loc"]))
    return f"{field}: {first['msg']}" if field else str(first["msg"])
