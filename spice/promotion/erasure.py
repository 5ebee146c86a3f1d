"""Decisions to erase a document, and to let it back in: entries of the ledger, signed by an admin.

The entry is made before anything is removed, and it stays: it names the
document by digest alone, and the checkpoints that had seen it.
"""

from __future__ import annotations

from collections.abc import Sequence

from spice.errors import RefusedError
from spice.promotion.log import ReleaseLog
from spice.store.base import ObjectStore
from spice.trust.keyring import Keyring
from spice.trust.ledger import Clock, Draft, Entry
from spice.trust.signing import Signer

ERASE, READMIT = "corpus.erase", "corpus.readmit"


def erased(store: ObjectStore) -> frozenset[bytes]:
    """Digests of documents, and of their words, that must not be ingested.

    Raises:
        IntegrityError: the ledger is broken, so nobody can tell.
    """
    return frozenset(bytes.fromhex(digest) for digests in decided(store) for digest in digests)


def decided(store: ObjectStore) -> tuple[frozenset[str], ...]:
    """Of each decision in force the digests of documents and of their words. Raises as `erased` does."""
    return tuple(map(frozenset, ReleaseLog(store).state.erased.values()))


def erase(
    store: ObjectStore,
    signer: Signer,
    clock: Clock,
    *,
    documents: Sequence[str],
    words: Sequence[str],
    versions: Sequence[str],
    runs: Sequence[str],
    checkpoints: Sequence[str],
    reason: str,
) -> Entry | None:
    """Enter the decision to erase a document; `None` if it was taken before.

    Args:
        store: whose ledger.
        signer: an admin.
        clock: for the entry.
        documents: digests of the document and its exact copies; the first is the entry's subject.
        words: digests of their words.
        versions: dataset versions that held it.
        runs: runs that posed tasks about it.
        checkpoints: checkpoints that had seen it.
        reason: for whoever reads the ledger.

    Raises:
        RefusedError: the signer is no admin.
    """
    Keyring(store).require(signer, "admin")
    log = ReleaseLog(store)
    body = {
        "documents": list(documents),
        "words": list(words),
        "versions": list(versions),
        "runs": list(runs),
        "checkpoints": list(checkpoints),
        "reason": reason,
    }
    wanted = {*documents, *words}

    def decide() -> Draft | None:
        known = {digest for digests in log.state.erased.values() for digest in digests}
        return None if wanted <= known else Draft(ERASE, documents[0], body)

    with log.refusals_recorded(signer, clock, ERASE, documents[0]):
        return log.append(signer, clock, decide)


def readmit(store: ObjectStore, signer: Signer, clock: Clock, document: str, reason: str) -> Entry | None:
    """Withdraw the decision to erase a document: it may be ingested again. What was removed stays removed.

    Raises:
        RefusedError: the signer is no admin, or the document was not erased.
    """
    Keyring(store).require(signer, "admin")
    log = ReleaseLog(store)

    def decide() -> Draft | None:
        if document not in log.state.erased:
            raise RefusedError(f"{document} is not erased; `spice ledger` lists the decisions.")
        return Draft(READMIT, document, {"reason": reason})

    with log.refusals_recorded(signer, clock, READMIT, document):
        return log.append(signer, clock, decide)
