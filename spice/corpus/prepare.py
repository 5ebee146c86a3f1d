"""What a document becomes by itself: cleaned, screened, filtered and fingerprinted."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from dataclasses import dataclass

import numpy as np

from spice.config import CorpusConfig
from spice.corpus.clean import clean, fingerprint_text, removed_characters
from spice.corpus.document import Document
from spice.corpus.filters.steps import judge
from spice.corpus.lines import line_hashes
from spice.corpus.near_duplicates import band_hashes, bands_of, runs
from spice.corpus.pack import DocumentRow
from spice.corpus.screening import SCREEN, quarantine
from spice.corpus.source import LeftOut

ERASED = "erased"


@dataclass(frozen=True)
class Prepared:
    """A row of a pack, and the text to be cut if the document passed."""

    row: DocumentRow
    raw: str | None = None
    """Lines that a filter took out are blanks in it, so that positions stay true."""


def prepare(
    document: Document, name: str, config: CorpusConfig, erased: Set[bytes], admitted: Set[bytes] = frozenset()
) -> Prepared:
    """Take one document through all steps that need no other document.

    Args:
        document: as its reader found it.
        name: of the file, with which the name of the document begins.
        config: which steps, and their thresholds.
        erased: digests of documents, and of their words, that must never come back.
        admitted: digests of documents to which no screen applies.
    """
    text = clean(document.text)
    if not text:
        return Prepared(_left_out(document, name, "clean", document.notes[0] if document.notes else "no text"))
    document_id = hashlib.sha256(text.encode()).digest()
    words = word_sequence(text)
    if document_id in erased or words_digest(words) in erased:
        return Prepared(_left_out(document, name, ERASED, "erased by decision"))
    if document_id not in admitted and (found := quarantine(document.text, text, config)):
        reason, passage = found
        return Prepared(_left_out(document, name, SCREEN, reason, quarantined(document_id, passage)))
    judged = judge(document.text, text, config)
    if judged.removed_by:
        return Prepared(_left_out(document, name, judged.removed_by, judged.reason, judged.sample))
    if judged.cleaned is not text:
        words = word_sequence(judged.cleaned)
    boilerplate = config.quality.boilerplate_documents > 0
    row = DocumentRow(
        member=_member(document.source, name),
        title=clean(document.title),
        unit=document.positions.unit,
        first=_first(document),
        format=document.format,
        stage="",
        reason="",
        detail="",
        notes=list(document.notes),
        removed=removed_characters(document.text),
        changed=list(judged.changed),
        document_id=document_id,
        words=words_digest(words),
        size=len(judged.cleaned),
        language=judged.language,
        bands=np.ascontiguousarray(band_hashes(runs(words), *bands_of(config)), "<u8").tobytes(),
        lines=line_hashes(judged.cleaned, config).astype("<u8").tobytes() if boilerplate else b"",
    )
    return Prepared(row, judged.raw)


def unreadable(problem: LeftOut, name: str) -> DocumentRow:
    """The row of something in a file that could not be read."""
    detail = problem.detail.encode("utf-8", "replace").decode()  # a library may quote bytes that are no text
    return DocumentRow(_member(problem.source, name), "", "", 0, "", problem.stage, problem.reason, detail, [], 0, [])


def quarantined(document_id: bytes, passage: str) -> str:
    """What the list of what was left out tells of a quarantined document: its digest, by which it can be admitted."""
    return f"document {document_id.hex()}: {passage}"


def word_sequence(text: str) -> str:
    """What documents are compared by: the words alone, or the text itself if it has none."""
    return fingerprint_text(text) or text


def words_digest(words: str) -> bytes:
    """16 bytes that are equal for texts with the same words, whatever their case, punctuation and layout."""
    return hashlib.blake2b(words.encode("utf-8", "replace"), digest_size=16).digest()


def _left_out(document: Document, name: str, stage: str, reason: str, detail: str = "") -> DocumentRow:
    removed, notes = removed_characters(document.text), list(document.notes)
    return DocumentRow(
        _member(document.source, name),
        "",
        document.positions.unit,
        _first(document),
        document.format,
        stage,
        reason,
        detail,
        notes,
        removed,
        [],
    )


def _first(document: Document) -> int:
    return document.positions.locate("", [(0, 0)])[0][0]


def _member(source: str, name: str) -> str:
    return source.removeprefix(name)
