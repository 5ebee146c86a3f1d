"""From a benchmark's rows to a suite."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from spice.errors import CorpusError
from spice.evaluation.benchmarks import Benchmark
from spice.evaluation.extraction import grade_exact, grade_letters
from spice.evaluation.items import Grader, Item, Suite
from spice.evaluation.rows import Row
from spice.selfplay.types import LETTERS, Task

_TEXTS = TypeAdapter(list[str])
_SOLUTION_END = "####"
_GRADERS: dict[str, Grader] = {"letter": grade_letters, "exact": grade_exact}


def build_suite(benchmark: Benchmark, rows: Sequence[Row], limit: int, seed: int) -> Suite:
    """Make the suite; a benchmark of several samples asks each item so often, and they share a cluster.

    Args:
        benchmark: what the columns mean.
        rows: all rows.
        limit: most items, drawn at random; 0 takes all.
        seed: draws them, the order of options where the data set has none, and the samples.

    Raises:
        CorpusError: a row does not hold what its columns should; the message names row and column.
    """
    numbers = list(range(len(rows)))
    if 0 < limit < len(numbers):
        numbers = sorted(random.Random(f"{seed}/{benchmark.name}").sample(numbers, limit))
    items = [item for number in numbers for item in _samples(benchmark, _item(benchmark, rows[number], number, seed))]
    return Suite(
        benchmark.name,
        "benchmark",
        tuple(items),
        grade=_GRADERS.get(benchmark.extraction),
        prompt=benchmark.prompt,
        temperature=benchmark.temperature,
        seed=seed,
        metric=benchmark.metric,
    )


def _item(benchmark: Benchmark, row: Row, number: int, seed: int) -> Item:
    columns = benchmark.columns
    name = f"{benchmark.name}-{number:05d}"
    where = f"row {number} of {benchmark.hub_id}"
    question = _text(row, columns.question, where)
    options = _options(benchmark, row, where, name, seed)
    answer = _gold(benchmark, row, where, options)
    task = Task(
        format="multiple_choice" if options else "free_form",
        question=question,
        answer=answer,
        answer_type=benchmark.answer_type,
        options=options,
    )
    cluster = f"{benchmark.name}/{row[columns.cluster]}" if columns.cluster else name
    return Item(name, cluster, task, f"{question} {answer}")


def _samples(benchmark: Benchmark, item: Item) -> list[Item]:
    if benchmark.samples == 1:
        return [item]
    return [
        Item(f"{item.id}#{sample:02d}", item.cluster, item.task, item.source_text, sample)
        for sample in range(benchmark.samples)
    ]


def _options(benchmark: Benchmark, row: Row, where: str, name: str, seed: int) -> tuple[str, ...]:
    columns = benchmark.columns
    if columns.wrong:
        options = [_text(row, column, where) for column in (columns.answer, *columns.wrong)]
        # By the item's name, so that the order does not depend on which other items there are.
        random.Random(hashlib.sha256(f"{seed}/{name}".encode()).digest()).shuffle(options)
        return tuple(options)
    if columns.options is None:
        return ()
    try:
        options = _TEXTS.validate_python(row[columns.options])
    except ValidationError as error:
        raise CorpusError(f"{where}: the column {columns.options!r} holds no list of texts") from error
    if not 2 <= len(options) <= len(LETTERS):
        raise CorpusError(f"{where}: {len(options)} options; 2 to {len(LETTERS)} can be asked")
    return tuple(option.strip() for option in options)


def _gold(benchmark: Benchmark, row: Row, where: str, options: Sequence[str]) -> str:
    columns = benchmark.columns
    value = row[columns.answer]
    match columns.gold:
        case "text":
            return _text(row, columns.answer, where)
        case "first":
            if isinstance(value, str) or not value:
                raise CorpusError(f"{where}: the column {columns.answer!r} holds no list with an answer in it")
            return str(value[0]).strip()
        case "hashes":
            _, mark, answer = _text(row, columns.answer, where).rpartition(_SOLUTION_END)
            if not (mark and answer.strip()):
                raise CorpusError(f"{where}: the solution does not end in {_SOLUTION_END} and the answer")
            return answer.strip()
        case "index":
            place = int(value)
        case "letter":
            place = LETTERS.find(str(value).strip().upper())
    if not 0 <= place < len(options):
        raise CorpusError(f"{where}: the column {columns.answer!r} is {value!r}, and there are {len(options)} options")
    return options[place]


def _text(row: Row, column: str, where: str) -> str:
    """A column as text; a whole number that is stored as a fraction (142.0) loses its point."""
    value = row[column]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "" if value is None else str(value).strip()
    if not text:
        raise CorpusError(f"{where}: the column {column!r} is empty")
    return text
