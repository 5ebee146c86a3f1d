"""A user's own suite: a JSONL file, one item a line, validated before any model runs.

The schema is documented in docs/evaluation-suites.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spice.errors import ConfigError
from spice.evaluation.items import Item, Suite
from spice.selfplay.answers import normalise
from spice.selfplay.types import LETTERS, AnswerType, Task

_MAX_LINE_BYTES = 1_000_000


class Record(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=200)
    question: str = Field(min_length=1, max_length=100_000)
    answer: str = Field(min_length=1, max_length=10_000)
    answer_type: AnswerType = "string"
    options: tuple[str, ...] = Field((), max_length=len(LETTERS))
    cluster: str | None = Field(None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _check_options(self) -> Record:
        if not self.options:
            return self
        if self.answer not in self.options:
            raise ValueError("the answer must be one of the options, letter for letter")
        if len(self.options) < 2 or len({normalise(option) for option in self.options} - {""}) < len(self.options):
            raise ValueError(
                "there must be two or more options, none empty and no two alike apart from case and spaces"
            )
        return self


def load_suite(path: Path) -> Suite:
    """Read a suite; its name is the file's name without the ending.

    Raises:
        ConfigError: the file cannot be read or a line does not fit the schema; the message names the line.
    """
    items: dict[str, Item] = {}
    for number, line in _lines(path):
        where = f"{path}, line {number}"
        try:
            record = Record.model_validate_json(line)
        except ValidationError as error:
            raise ConfigError(f"{where}: {_explain(error)}; see docs/evaluation-suites.md for the schema") from error
        if record.id in items:
            raise ConfigError(f"{where}: the id {record.id!r} was used before; give every item its own")
        items[record.id] = _item(record)
    if not items:
        raise ConfigError(f"{path} holds no items; remove it from evaluation.suites or add some")
    return Suite(path.stem, "user", tuple(items.values()))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
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
        raise ConfigError(f"the suite {path} cannot be read ({error.strerror}); check evaluation.suites") from error


def _item(record: Record) -> Item:
    task = Task(
        format="multiple_choice" if record.options else "free_form",
        question=record.question,
        answer=record.answer,
        answer_type=record.answer_type,
        options=record.options,
    )
    return Item(record.id, record.cluster or record.id, task, f"{record.question} {record.answer}")


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(map(str, first["loc"]))
    return f"{field}: {first['msg']}" if field else str(first["msg"])
