"""`spice suites`: the benchmarks, copies of them for evaluation alone, and how many items a margin takes."""

from __future__ import annotations

from pathlib import Path
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

suites = typer.Typer(
    help="The benchmarks: list them, copy them, plan how many items a margin takes.", no_args_is_help=True
)


@suites.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the paper's benchmarks with where they lie, their licence and how they are graded."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from spice.evaluation.benchmarks import BENCHMARKS

    table = Table("name", "group", "data set", "split", "licence", "items", "answer", "metric", box=box.SIMPLE)
    for each in BENCHMARKS:
        place = each.hub_id if each.config is None else f"{each.hub_id}:{each.config}"
        cells = (each.name, each.group, place, each.split, each.licence, str(each.size), each.extraction, each.metric)
        table.add_row(*map(Text, cells))
    emit(BENCHMARKS, table, as_json)


@suites.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="benchmarks, or all")],
    to: Annotated[
        str, typer.Option("--to", metavar="URL", help="A folder or s3://bucket/prefix, not the store's own.")
    ],
    mirror: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Copies of hub repositories, OWNER/NAME; else the hub."),
    ] = None,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy benchmarks from the hub to where evaluation reads them, and training cannot.

    Set evaluation.benchmark_store to the same place. Credentials of a bucket stand in SPICE_BENCHMARKS_S3_ACCESS_KEY
    and SPICE_BENCHMARKS_S3_SECRET_KEY.
    """
    from spice.cli.progress import reporter
    from spice.evaluation import benchmarks, rows

    config = load_config(preset, file, sets)
    copies = rows.open_copies(to, config.store)
    chosen = benchmarks.chosen(names)
    fetched: dict[str, str] = {}
    with reporter(as_json) as progress:
        for number, benchmark in enumerate(chosen):
            progress(number, len(chosen), f"fetch {benchmark.name}")
            fetched[benchmark.name] = rows.fetch(benchmark, copies, mirror)
        progress(len(chosen), len(chosen), "fetch")
    lines = [f"{name:<14}{ref}" for name, ref in fetched.items()]
    emit(fetched, "\n".join([*lines, f"Use them with --set evaluation.benchmark_store={to}"]), as_json)


@suites.command()
def plan(
    margin: Annotated[float, typer.Option("--margin", min=0.0001, max=1.0, help="Largest loss that is not worse.")],
    discordant: Annotated[
        float, typer.Option("--discordant", min=0.0, max=1.0, help="Share of items that only one model gets right.")
    ] = 0.1,
    power: Annotated[
        float, typer.Option("--power", min=0.5, max=0.999, help="Chance to show it of an equal model.")
    ] = 0.8,
    cluster_size: Annotated[float, typer.Option("--cluster-size", min=1.0, help="Items of one document.")] = 1.0,
    intraclass: Annotated[
        float, typer.Option("--intraclass", min=0.0, max=1.0, help="Correlation of changes within a document.")
    ] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Say how many items it takes to show that a model is not worse by a margin, one-sided at 95%."""
    from spice.evaluation.statistics import sample_size

    needed = sample_size(margin, discordant, power, cluster_size=cluster_size, intraclass=intraclass)
    human = (
        f"{needed} items show with a chance of {power:.0%} that an equal model is not worse by more than {margin:g}, "
        f"if the two disagree on {discordant:.0%} of them."
    )
    emit({"items": needed, "margin": margin, "discordant": discordant, "power": power}, human, as_json)


@suites.command()
def harness(
    checkpoint: Annotated[str, typer.Argument(help="The checkpoint, checkpoints/<digest>; a unique prefix will do.")],
    tasks: Annotated[list[str], typer.Option("--task", help="A task of lm-evaluation-harness. Repeatable.")],
    include: Annotated[
        Path | None, typer.Option("--include", metavar="FOLDER", help="Task files of your own; only those, then.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Items per task.")] = None,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a checkpoint on tasks of EleutherAI's lm-evaluation-harness. No part of what the gate sees."""
    from spice import stages
    from spice.cli.acting import find
    from spice.store import open_store

    config = load_config(preset, file, sets, store)
    ref = find(open_store(config.store), "checkpoints", checkpoint)
    found = stages.harness(ref, tasks, config, include, limit)
    lines = [
        f"{task:<24}{name:<32}{value:.4f}" if isinstance(value, float) else f"{task:<24}{name:<32}{value}"
        for task, metrics in found.items()
        for name, value in metrics.items()
        if name != "alias"
    ]
    emit(found, "\n".join(lines), as_json)
