"""`spice lineage`: from a checkpoint to the passages that it learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from spice.cli.common import (
    DEFAULT_PRESET,
    FileOption,
    JsonOption,
    PresetOption,
    SetOption,
    StoreOption,
    emit,
    load_config,
)
from spice.errors import ConfigError

if TYPE_CHECKING:
    from spice.reporting.lineage import Lineage, TaskTrace


def lineage(
    checkpoint: Annotated[str, typer.Argument(help="The checkpoint, checkpoints/<digest>; a unique prefix will do.")],
    *,
    task: Annotated[
        str | None, typer.Option("--task", metavar="ITERATION:ROW", help="Show one task beside its passage.")
    ] = None,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow a checkpoint to its run, every task that was posed, and the passage that each was made from.

    Everything on the way is read and verified. Exit code 1 if a task cannot be followed to its passage.
    """
    from spice.cli.acting import find
    from spice.reporting import lineage as lineages
    from spice.store import open_store

    opened = open_store(load_config(preset, file, sets, store).store)
    ref = find(opened, "checkpoints", checkpoint)
    if task is not None:
        found = lineages.task(opened, ref, *_place(task))
        emit(found, _task(found), as_json)
        return
    traced = lineages.trace(opened, ref)
    emit(traced, _lineage(traced), as_json)
    if not traced.complete:
        raise typer.Exit(1)


def _place(task: str) -> tuple[int, int]:
    iteration, colon, row = task.partition(":")
    if not (colon and iteration.isdecimal() and row.isdecimal()):
        raise ConfigError(f"--task {task!r}: write iteration and row as in 3:0")
    return int(iteration), int(row)


def _lineage(found: Lineage) -> str:
    if found.run is None:
        return f"{found.checkpoint}\n  was not trained here: it has no run, no documents and no tasks."
    lines = [
        found.checkpoint,
        f"  trained from  {found.base}",
        f"  on            {found.corpus}",
        f"  in the run    {found.run}, {found.iteration} iterations, code {found.code}",
        f"  with          {found.tasks} tasks, of which the Reasoner learned from {found.trained}",
        f"  made from     {found.segments} passages of {found.files} files"
        + (f", {found.without_document} without a document" if found.without_document else ""),
    ]
    if found.complete:
        return "\n".join([*lines, "Every task can be followed to its passage."])
    return "\n".join([*lines, "NOT everything can be followed:", *(f"  - {problem}" for problem in found.missing)])


def _task(found: TaskTrace) -> str:
    lines = [f"Task {found.name}", f"  question  {found.question}", f"  answer    {found.answer}"]
    if found.segment is None:
        return "\n".join([*lines, "  posed without a document"])
    one = found.segment
    place = f"{one.source}, {one.unit} {one.start} to {one.end} (segment {one.segment_id}, sha256 {one.sha256})"
    return "\n".join([*lines, f"  passage   {place}", "", one.text])
