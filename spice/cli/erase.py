"""`spice erase`: take a document out of the store, for good, and say so in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from spice.cli.acting import AsOption, ReasonOption, acting, now, short
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

if TYPE_CHECKING:
    from spice.stages import Erased


def erase(
    documents: Annotated[
        list[str], typer.Argument(metavar="DOC...", help="Names in the corpus, or digests (document_id of a segment).")
    ],
    reason: ReasonOption,
    readmit: Annotated[
        bool, typer.Option("--readmit", help="Withdraw the decision: the documents may be ingested again.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    name: AsOption = "local",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase documents: their text, segments and tasks, everywhere in the store, and refuse them from now on.

    The ledger names the document by its digest and lists the checkpoints that had seen it. Metrics stay. Copies in
    backups, in versions that an object store keeps, and in other stores are not reached from here.
    """
    from spice import stages
    from spice.store import open_store

    config = load_config(preset, file, sets, store)
    place = open_store(config.store)
    signer = acting(place, name)
    if readmit:
        for document in documents:
            stages.readmit(place, document, reason, signer, now)
        emit({"readmitted": documents}, f"May be ingested again: {', '.join(documents)}", as_json)
        return
    found = [stages.erase(place, document, reason, signer, now, dry_run=dry_run) for document in documents]
    emit(found, "\n\n".join(_told(one, dry_run) for one in found), as_json)


def _told(one: Erased, dry_run: bool) -> str:
    target = one.target
    lines = [
        f"{'Would erase' if dry_run else 'Erased'} {', '.join(target.sources) or 'a document'}",
        f"  digests      {', '.join(target.documents)}",
        f"  versions     {', '.join(map(short, target.versions)) or 'none'}",
        f"  tasks        {one.tasks} in {len(one.runs)} runs{': ' + ', '.join(one.runs) if one.runs else ''}",
        f"  seen by      {', '.join(map(short, one.checkpoints)) or 'no checkpoint'}",
    ]
    lines += [f"  {short(old)} is followed by {new}" for old, new in one.successors.items()]
    if target.near_copies:
        lines.append(f"  near copies, which stay: {', '.join(target.near_copies)}")
    return "\n".join(lines)
