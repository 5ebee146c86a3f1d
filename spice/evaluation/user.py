"""A user's own suite: a JSONL file, one item a line, validated before any model runs.

The schema is documented in docs/evaluation-suites.md.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spice.evaluation import jsonl
from spice.evaluation.items import Item, Suite
from spice.selfplay.answers import normalise
from spice.selfplay.types import LETTERS, AnswerType, Task


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
    records = jsonl.read(path, Record, "evaluation.suites", "docs/evaluation-suites.md")
    return Suite(path.stem, "user", tuple(map(_item, records.values())))


def _item(record: Record) -> Item:
    task = Task(
        format="multiple_choice" if record.options else "free_form",
        question=record.question,
        answer=record.answer,
        answer_type=record.answer_type,
        options=record.options,
    )
    return Item(record.id, record.cluster or record.id, task, f"{record.question} {record.answer}")
