"""Erasing a document: one decision in the ledger, and everything that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from spice.corpus import erasure as documents
from spice.corpus.erasure import Target
from spice.promotion import erasure as decisions
from spice.reporting import documents as page
from spice.store.base import ObjectStore
from spice.training import erasure as tasks
from spice.trust.ledger import Clock
from spice.trust.signing import Signer


@dataclass(frozen=True)
class Erased:
    """What was erased, or would be.

    Attributes:
        target: the document and where it was.
        tasks: how many tasks about it were removed.
        runs: from which runs.
        checkpoints: those that had learned from it.
        successors: versions that have a successor without it, with that.
        sequence: number of the entry in the ledger; `None` if the decision had been taken before, or was not taken.
    """

    target: Target
    tasks: int
    runs: tuple[str, ...]
    checkpoints: tuple[str, ...]
    successors: dict[str, str] = field(default_factory=dict)
    sequence: int | None = None


def erase(store: ObjectStore, name: str, reason: str, signer: Signer, clock: Clock, *, dry_run: bool = False) -> Erased:
    """Erase a document from versions, packs and runs; repeating it completes what was interrupted.

    Args:
        store: from which.
        name: of the document in the corpus, or its digest.
        reason: for whoever reads the ledger.
        signer: an admin, who decides.
        clock: for the entry.
        dry_run: find out what would be removed, and change nothing.

    Raises:
        CorpusError: there is no such document.
        RefusedError: the signer is no admin.
        IntegrityError: something in the store is damaged, so nobody can tell what it holds.
    """
    target = documents.find(store, name, decisions.decided(store))
    wanted = frozenset(target.documents)
    used = tasks.uses(store, wanted)
    seen = tasks.checkpoints(store, used)
    found = Erased(target, sum(use.tasks for use in used), tuple(use.run for use in used), tuple(seen))
    if dry_run:
        return found
    # First the decision, then what follows: whoever comes after a crash finds it and completes the work.
    entry = decisions.erase(
        store,
        signer,
        clock,
        documents=target.documents,
        words=target.words,
        versions=target.versions,
        runs=found.runs,
        checkpoints=found.checkpoints,
        reason=reason,
    )
    tasks.purge(store, wanted, used)
    successors = documents.purge(store, target)
    for ref in successors.values():
        page.build(store, ref)
    sequence = entry.sequence if entry else None
    return Erased(target, found.tasks, found.runs, found.checkpoints, successors, sequence)


def readmit(store: ObjectStore, document: str, reason: str, signer: Signer, clock: Clock) -> None:
    """Withdraw the decision to erase a document. Raises `RefusedError` if there is none, or for anyone but an admin."""
    decisions.readmit(store, signer, clock, document, reason)
