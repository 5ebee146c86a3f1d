"""`spice store`: set an S3 store up, say what each role may do in it, and fetch what lies in it."""

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
from spice.errors import ConfigError

store = typer.Typer(help="Set a store up, and fetch from it.", no_args_is_help=True)


@store.command()
def setup(
    lock_days: Annotated[
        int, typer.Option("--lock-days", min=0, help="No version can be deleted for so long; 0 for no lock.")
    ] = 30,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the bucket if it is missing, keep versions, lock them, and check the result. Repeating it is harmless."""
    from datetime import UTC, datetime

    from spice.store import open_store
    from spice.store.probe import probe, require
    from spice.store.s3 import S3Store

    opened = open_store(load_config(preset, file, sets, store).store)
    if not isinstance(opened, S3Store):
        raise ConfigError(f"{opened.url} is a folder, which needs no setting up. Name a bucket: --store s3://BUCKET.")
    made = opened.prepare(lock_days)
    require(probe(opened, datetime.now(UTC)))
    human = "\n".join(
        [
            f"{opened.url} can carry the guardrails.",
            f"  bucket       {made.bucket}, {'new' if made.made else 'was there'}",
            f"  versioning   {'on' if made.versioning else 'off'}",
            f"  object lock  {f'{made.lock_days} days, compliance' if made.lock_days else 'none'}",
        ]
    )
    emit(made, human, as_json)


@store.command()
def policies(
    bucket: Annotated[str, typer.Argument(help="the store's bucket")],
    prefix: Annotated[str, typer.Option(help="Where the store begins in the bucket.")] = "",
    out: Annotated[Path | None, typer.Option(help="Write one file per role into this folder.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print one policy document per role, in the language of AWS and MinIO; attach each to an account of its own."""
    import json

    from spice.store.policies import ROLES, policy

    beginning = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    documents = {role: policy(role, bucket, beginning) for role in ROLES}
    if out is None:
        emit(documents, json.dumps(documents, indent=2), as_json)
        return
    out.mkdir(parents=True, exist_ok=True)
    for role, document in documents.items():
        (out / f"{role}.json").write_text(json.dumps(document, indent=2) + "\n")
    emit(sorted(documents), f"Wrote {len(documents)} policies to {out}.", as_json)


@store.command()
def fetch(
    ref: Annotated[str, typer.Argument(help="a whole reference, such as checkpoints/<digest>")],
    folder: Annotated[Path, typer.Argument(help="where to; appears at once or not at all")],
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy an artifact out of the store, every file checked against its digest."""
    from spice.store import artifacts, open_store

    opened = open_store(load_config(preset, file, sets, store).store)
    found = artifacts.download(opened, ref, folder)
    emit({"ref": ref, "folder": str(found)}, f"{ref} is in {found}, every file verified.", as_json)
