"""`spice audit`: a bundle of the ledger and its evidence, for somebody who has no access to the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spice.cli.acting import now
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

audit = typer.Typer(help="Export the ledger with its evidence, and verify such a bundle.", no_args_is_help=True)


@audit.command()
def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="a new folder, or a file whose name ends in .tar.gz")],
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write ledger, keys, requests, approvals, decisions, evaluations and manifests into one bundle."""
    from spice.promotion import bundle
    from spice.store import open_store

    found = bundle.export(open_store(load_config(preset, file, sets, store).store), out, now)
    lines = [
        f"{found.entries} entries and their evidence are in {out}. Tell the auditor, by another way than the bundle:",
        f"  spice audit verify {out} --root {found.fingerprint or '(no key)'} --head {found.head}",
        *(f"PROBLEM: {problem}" for problem in found.problems),
    ]
    emit({"out": str(out), "audit": found}, "\n".join(lines), as_json)


@audit.command()
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="OUT", help="what `spice audit export` wrote")],
    root: Annotated[str | None, typer.Option("--root", help="What the first key's fingerprint must be.")] = None,
    head: Annotated[str | None, typer.Option("--head", help="Hash of an entry that must be in the ledger.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a bundle offline: every hash, signature and rule, and every decision made again. Exit code 1 if not."""
    from spice.promotion import bundle as bundles

    found = bundles.verify(bundle, root, head)
    lines = [
        f"{found.audit.entries} entries: hashes, signatures and rules are right.",
        f"{found.decisions} decisions of the gate were made again from their policies and facts.",
        f"  taken       {found.taken} from {found.source}",
        f"  first key   {found.audit.root or '(none)'}  {found.audit.fingerprint}",
        f"  last entry  {found.audit.head}",
        f"  live        {found.audit.live or 'nothing'}",
        f"  switch      {'ENGAGED' if found.audit.engaged else 'not engaged'}",
        *(f"PROBLEM: {problem}" for problem in found.problems),
    ]
    if root is None:
        lines.append("Nothing was compared from outside: --root and --head show that this is the ledger you mean.")
    emit(found, "\n".join(lines), as_json)
    if found.problems:
        raise typer.Exit(1)
