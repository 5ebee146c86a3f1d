"""What a dataset version holds back, so that a person can look at it and decide."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from spice.corpus.dataset import LEFT_OUT, left_out
from spice.corpus.screening import SCREEN
from spice.errors import CorpusError, IntegrityError
from spice.store import artifacts
from spice.store.base import ObjectStore

_DETAIL = re.compile(r"document ([0-9a-f]{64}): (.*)", re.DOTALL)


@dataclass(frozen=True)
class Quarantined:
    """A document that a screen held back.

    Attributes:
        source: its name in the corpus.
        document: SHA-256 of its cleaned text.
        reason: the screen's.
        passage: what it found, or "".
    """

    source: str
    document: str
    reason: str
    passage: str


def held_back(store: ObjectStore, ref: str) -> list[Quarantined]:
    """All quarantined documents of a version, in order of their names.

    Args:
        store: that holds it.
        ref: `datasets/<name>/<digest>`, or any shorter form.

    Raises:
        NotFoundError: there is no such version.
        IntegrityError: its list was changed or cannot be read.
        CorpusError: it was withdrawn because a document in it was erased.
    """
    ref = artifacts.resolve(store, ref)
    found = []
    try:
        for line in left_out(store, ref):
            row = json.loads(line)
            if row["stage"] == SCREEN and (told := _DETAIL.fullmatch(row["detail"])):
                found.append(Quarantined(row["source"], told[1], row["reason"], told[2]))
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{ref}/{LEFT_OUT} in {store.url} is not a list of documents; ingest again.") from error
    return sorted(found, key=lambda one: (one.source, one.document))


def find(store: ObjectStore, ref: str, name: str) -> Quarantined:
    """The quarantined document of that name or digest. Raises `CorpusError` if there is none, or more than one."""
    found = [one for one in held_back(store, ref) if name in (one.source, one.document)]
    if len(found) != 1:
        problem = f"{len(found)} quarantined documents are called" if found else "no quarantined document is called"
        raise CorpusError(f"In {ref}, {problem} {name!r}. `spice quarantine list {ref}` names them with their digests.")
    return found[0]
