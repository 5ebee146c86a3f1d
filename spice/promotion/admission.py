"""Decisions that overrule a screen: ledger entries, signed by an approver, that name a document by its digest."""

from __future__ import annotations

from spice.errors import RefusedError
from spice.promotion.log import ReleaseLog
from spice.store.base import ObjectStore
from spice.trust.keyring import Keyring
from spice.trust.ledger import Clock, Draft, Entry
from spice.trust.signing import Signer

ADMIT, DISMISS = "corpus.admit", "corpus.dismiss"


def admitted(store: ObjectStore) -> frozenset[bytes]:
    """Digests of documents to which no screen applies.

    Raises:
        IntegrityError: the ledger is broken, so nobody can tell.
    """
    return frozenset(map(bytes.fromhex, ReleaseLog(store).state.admitted))


def admit(store: ObjectStore, signer: Signer, clock: Clock, document: str, why: str, reason: str) -> Entry | None:
    """Enter the decision to take in a quarantined document all the same; `None` if it was taken before.

    Args:
        store: whose ledger.
        signer: an approver.
        clock: for the entry.
        document: SHA-256 of its cleaned text, as `left_out.jsonl` has it.
        why: the screen's reason, which is overruled.
        reason: the approver's.

    Raises:
        RefusedError: the signer is no approver.
    """
    Keyring(store).require(signer, "approver")
    log = ReleaseLog(store)
    body = {"screen": why, "reason": reason}
    with log.refusals_recorded(signer, clock, ADMIT, document):
        return log.append(
            signer, clock, lambda: None if document in log.state.admitted else Draft(ADMIT, document, body)
        )


def dismiss(store: ObjectStore, signer: Signer, clock: Clock, document: str, reason: str) -> Entry | None:
    """Withdraw an admission: from the next ingest on, screens apply to the document again.

    Raises:
        RefusedError: the signer is no approver, or the document was not admitted.
    """
    Keyring(store).require(signer, "approver")
    log = ReleaseLog(store)

    def decide() -> Draft:
        if document not in log.state.admitted:
            raise RefusedError(f"{document} is not admitted; `spice ledger` lists the decisions.")
        return Draft(DISMISS, document, {"reason": reason})

    with log.refusals_recorded(signer, clock, DISMISS, document):
        return log.append(signer, clock, decide)
