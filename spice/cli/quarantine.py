"""`spice quarantine`: what the screens held back, and the decision to take a document in all the same."""

from __future__ import annotations

from typing import Annotated

import typer

from spice.cli.acting import AsOption, ReasonOption, acting, now
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

quarantine = typer.Typer(
    help="What the screens held back, and the decision to take a document in all the same.", no_args_is_help=True
)
VersionArgument = Annotated[
    str, typer.Argument(help="The dataset version: datasets/<name>, or with @tag or /<digest>.")
]
DocumentArgument = Annotated[str, typer.Argument(help="The document: its name in the corpus, or its digest.")]


@quarantine.command("list")
def list_(
    version: VersionArgument,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what a version holds back, with the reason and the passage."""
    from spice.corpus.quarantine import held_back
    from spice.store import open_store

    found = held_back(open_store(load_config(preset, file, sets, store).store), version)
    lines = [f"{one.source}\n  {one.reason}: {one.passage}\n  document {one.document}" for one in found]
    emit(found, "\n".join(lines) or "Nothing was quarantined.", as_json)


@quarantine.command()
def admit(
    version: VersionArgument,
    document: DocumentArgument,
    reason: ReasonOption,
    name: AsOption = "local",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Overrule the screens for one document: signed, in the ledger, and in force from the next ingest on.

    It takes an approver. The decision is about the text: a document that changes is screened again.
    """
    from spice.corpus.quarantine import find
    from spice.promotion import admission
    from spice.store import open_store

    opened = open_store(load_config(preset, file, sets, store).store)
    found = find(opened, version, document)
    entry = admission.admit(opened, acting(opened, name), now, found.document, found.reason, reason)
    told = f"in ledger entry {entry.sequence}" if entry else "before"
    emit(
        {"admitted": found.document, "entry": entry.sequence if entry else None},
        f"Admitted {found.source} {told}. Ingest again to take it in.",
        as_json,
    )


@quarantine.command()
def dismiss(
    document: Annotated[str, typer.Argument(help="The document's digest.")],
    reason: ReasonOption,
    name: AsOption = "local",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Withdraw an admission: from the next ingest on, the screens apply to the document again."""
    from spice.promotion import admission
    from spice.store import open_store

    opened = open_store(load_config(preset, file, sets, store).store)
    entry = admission.dismiss(opened, acting(opened, name), now, document, reason)
    emit({"dismissed": document, "entry": entry.sequence if entry else None}, f"Withdrawn: {document}", as_json)
