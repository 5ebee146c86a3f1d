"""`spice ingest`: turn documents into an immutable dataset version."""

from __future__ import annotations

from pathlib import Path
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
from spice.cli.progress import reporter
from spice.cli.run import dataset_name
from spice.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from spice.corpus.ingest import IngestReport

_LISTED = 20
_ROWS = (
    ("files", "files_read"),
    ("files skipped", "files_skipped"),
    ("entries passed over (hidden, links)", "files_passed_over"),
    ("documents found", "documents"),
    ("duplicates left out", "duplicates"),
    ("near duplicates left out", "near_duplicates"),
    ("quarantined", "quarantined"),
    ("too short", "documents_too_short"),
)


def ingest(
    documents: Annotated[
        list[str],
        typer.Argument(
            metavar="DOCS...",
            help="Folders, files, s3://bucket/prefix, https://host/page, urls:FILE, hf://owner/name/split.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the dataset; the first folder's by default.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Look at the bytes of every file, also of those that seem unchanged.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option("--shard", metavar="I/N", help="Read only this share of the files; merge all shares afterwards."),
    ] = None,
    merge: Annotated[
        bool,
        typer.Option("--merge", help="DOCS are the references that --shard printed: make a version of them."),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail at the first unreadable file.")] = False,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read documents of many formats into an immutable dataset version.

    Files that are known from an earlier ingest are not read again; the version is the same as if they were.
    Unreadable files are left out and listed; the version itself names everything that was left out, with the reason.
    """
    from spice import stages

    config = load_config(preset, file, sets, store)
    name = name or (documents[0].split("/")[1] if merge and "/" in documents[0] else dataset_name(Path(documents[0])))
    with reporter(as_json) as progress:
        if shard is not None:
            read = stages.ingest_shard(
                documents, name, config, *_share(shard), strict=strict, verify=verify, progress=progress
            )
            emit({"ref": read}, f"Read. When all shares are: spice ingest --merge {read} ...", as_json)
            return
        if merge:
            report = stages.merge_shards(documents, name, config, progress=progress)
        else:
            report = stages.ingest(documents, name, config, strict=strict, verify=verify, progress=progress)
    page = f"{config.store.url.rstrip('/')}/{report.ref}/report.html"
    emit(report, summary(report, page), as_json)


def _share(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal()):
        raise ConfigError(f"--shard {text}: expected two numbers, such as 1/4.")
    return int(number), int(of)


def summary(report: IngestReport, page: str) -> RenderableType:
    """What became of the documents, for people; `page` says where the page about them is."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    counts = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    counts.add_column("what")
    counts.add_column("number", justify="right")
    for label, key in _ROWS:
        counts.add_row(label, f"{report.counts.get(key, 0):,}")
    for step, count in report.filtered.items():
        counts.add_row(f"left out by the filter {step}", f"{count:,}")
    counts.add_row("files known from before", f"{report.reused:,}")
    splits = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "documents", "segments", "tokens"):
        splits.add_column(heading, justify="right" if heading else "left")
    for label, split in (("to train on", "train"), ("held out", "held_out")):
        numbers = (report.counts.get(f"{what}_{split}", 0) for what in ("documents", "segments", "tokens"))
        splits.add_row(label, *(f"{number:,}" for number in numbers))
    return Group(
        counts,
        Text(),
        splits,
        *_listing("Skipped", report.skipped),
        *_listing("Quarantined; `spice quarantine list` shows the passages", report.quarantined),
        *(Text(f"\nWarning: {warning}") for warning in report.warnings),
        Text(
            f"\nStored as {report.ref}\nTo check what became of the documents: {page}\n"
            f"Train on it: spice train {report.ref}"
        ),
    )


def _listing(title: str, items: list[tuple[str, str]]) -> list[RenderableType]:
    """The first few of a list, and how many there are."""
    from rich.text import Text

    if not items:
        return []
    lines = [f"  {source}: {reason}" for source, reason in items[:_LISTED]]
    more = [f"  and {len(items) - _LISTED} more, in left_out.jsonl of the version"] if len(items) > _LISTED else []
    return [Text("\n".join([f"\n{title}: {len(items)}", *lines, *more]))]
