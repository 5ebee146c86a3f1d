"""A human-made question set, for training on given questions (the recipe `rlvr`)."""

from __future__ import annotations

from pathlib import Path, PurePath

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spice.errors import ConfigError
from spice.selfplay.types import AnswerType, Task
from spice.selfplay.validity import malformation


class Question(BaseModel):
    """One line of the file. Unknown fields are errors: a misspelt `options` would change what is trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field("", description="names the question in records; the line's number if not given")
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    answer_type: AnswerType = "string"
    options: tuple[str, ...] = Field((), description="multiple choice; one of them is the answer, word for word")
    cluster: str | None = Field(None, description="of no use here; an evaluation suite may have it")


def read_file(path: str) -> bytes:
    """The file's bytes. Raises `ConfigError`."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"recipe.question_set: {path} cannot be read: {error.strerror or error}.") from error


def parse(data: bytes, name: str) -> list[tuple[str, Task]]:
    """Read a question set.

    Args:
        data: JSONL, one `Question` a line; empty lines are passed over.
        name: of the file, for messages; its last part is in the ids of questions that have none.

    Returns:
        (id, task), in the order of the file.

    Raises:
        ConfigError: a line is not a question, or there is none.
    """
    found = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            one = Question.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(f"{name}, line {number}: {f'{where}: ' if where else ''}{first['msg']}.") from error
        form = "multiple_choice" if one.options else "free_form"
        task = Task(form, one.question, one.answer, one.answer_type, one.options)  # type: ignore[arg-type]
        if fault := malformation(task):
            raise ConfigError(f"{name}, line {number}: {fault}.")
        found.append((one.id or f"{PurePath(name).name}:{number}", task))
    if not found:
        raise ConfigError(f"{name} holds no question.")
    return found
