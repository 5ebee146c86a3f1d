"""`spice evaluate`: measure a checkpoint and its base on the same held-out items."""

from __future__ import annotations

from typing import Annotated

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


def evaluate(
    candidate: Annotated[str, typer.Argument(help="The checkpoint, checkpoints/<digest>; a unique prefix will do.")],
    *,
    base: Annotated[
        str | None, typer.Option("--base", metavar="REF", help="What it is compared with; its own base if not given.")
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option("--corpus", metavar="REF", help="Whose held-out documents; those it was trained on if not given."),
    ] = None,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a checkpoint and its base on the same held-out items, and store every answer.

    Says of each suite whether the checkpoint is better, not worse, worse, or whether that cannot be told from so
    many items. Whether it may be released is for `spice request` to ask.
    """
    from rich.console import Group
    from rich.text import Text

    from spice import stages
    from spice.cli.progress import reporter
    from spice.evaluation import table
    from spice.evaluation.schema import EvaluationReport

    config = load_config(preset, file, sets, store)
    with reporter(as_json) as progress:
        result = stages.evaluate(candidate, base, corpus, config, None, progress=progress)
    figures = table.render(EvaluationReport.model_validate(result.report))
    next_step = Text(f"\nStored as {result.ref}\nAsk for its release: spice request {result.ref}")
    summary = {key: value for key, value in result.report.items() if key != "items"}
    emit({"evaluation": result.ref, **summary}, Group(figures, next_step), as_json)
