"""The first pass of ingest: read, clean and screen every file, and spool what is new."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spice.config import CorpusConfig
from spice.corpus.clean import clean, fingerprint_text, removed_characters
from spice.corpus.document import Document, UnreadableError
from spice.corpus.files import Found, walk
from spice.corpus.formats import read
from spice.corpus.near_duplicates import Hashes, band_hashes, bands_for, shingles
from spice.corpus.screen import injection
from spice.corpus.source import LeftOut
from spice.corpus.spool import Record, Spool
from spice.errors import CorpusError

Progress = Callable[[int, int, str], None]


@dataclass
class Collected:
    """What the first pass found. `held_out` and `bands` go by the index of the record."""

    records: list[Record] = field(default_factory=list)
    bands: list[Hashes] = field(default_factory=list)
    held_out: set[int] = field(default_factory=set)
    left_out: list[LeftOut] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


def collect(paths: Sequence[Path], config: CorpusConfig, strict: bool, spool: Spool, progress: Progress) -> Collected:
    """Read all files under `paths` in order of their source.

    Raises:
        CorpusError: there is nothing to read, or a file is unreadable and `strict` is set.
    """
    found = walk(paths, config)
    collector = _Collector(config, spool, Collected(left_out=found.left_out))
    collected = collector.collected
    unreadable = [item for item in found.left_out if item.stage == "read"]
    if strict and unreadable:
        raise _strict(unreadable[0])
    for done, file in enumerate(found.files):
        progress(done, len(found.files), "read")
        if (problem := collector.add_file(file)) is None:
            collected.counts["files_read"] += 1
        elif strict:
            raise _strict(problem)
        else:
            collected.left_out.append(problem)
    progress(len(found.files), len(found.files), "read")
    collected.counts["files_skipped"] = sum(item.stage == "read" for item in collected.left_out)
    collected.counts["files_passed_over"] = sum(item.stage == "walk" for item in collected.left_out)
    return collected


def is_held_out(document_id: str, share: float) -> bool:
    """Whether a document is kept from training: by its content alone, so that a growing corpus changes nothing."""
    drawn = hashlib.sha256(f"spice-held-out{document_id}".encode()).hexdigest()[:8]
    return int(drawn, 16) / 2**32 < share


class _Collector:
    def __init__(self, config: CorpusConfig, spool: Spool, collected: Collected) -> None:
        self.collected = collected
        self._config = config
        self._spool = spool
        self._bands = bands_for(config.near_duplicate_threshold)
        self._seen: dict[bytes, int] = {}

    def add_file(self, file: Found) -> LeftOut | None:
        """Take in the documents of one file, or say why it cannot be read."""
        rows = 0
        try:
            for document in read(file, self._config):
                self._add(file.source, document)
                rows += 1
        except UnreadableError as error:
            return LeftOut(file.source, "read", error.reason, error.detail)
        return None if rows else LeftOut(file.source, "read", "no documents in it")

    def _add(self, source: str, document: Document) -> None:
        collected = self.collected
        collected.notes.update(document.notes)
        text = clean(document.text)
        if not text:
            reason = document.notes[0] if document.notes else "no text"
            self._leave_out(source, document, "clean", reason)
            return
        collected.counts["documents"] += 1
        collected.counts["characters_removed"] += removed_characters(document.text)
        if self._config.screen_injections and (found := injection(document.text, text)):
            collected.counts["quarantined"] += 1
            self._leave_out(source, document, "screen", *found)
            return
        document_id = hashlib.sha256(text.encode()).hexdigest()
        words = fingerprint_text(text) or text
        index = self._seen.setdefault(hashlib.sha256(words.encode()).digest(), len(collected.records))
        if is_held_out(document_id, self._config.held_out_share):
            collected.held_out.add(index)
        if index < len(collected.records):
            collected.counts["duplicates"] += 1
            self._leave_out(source, document, "duplicate", "duplicate", collected.records[index].source)
            return
        collected.records.append(self._spool.add(source, document, document_id))
        collected.bands.append(band_hashes(shingles(words), *self._bands))

    def _leave_out(self, source: str, document: Document, stage: str, reason: str, detail: str = "") -> None:
        row = f"#{document.positions.locate('', [(0, 0)])[0][0]}" if document.positions.unit == "row" else ""
        self.collected.left_out.append(LeftOut(source + row, stage, reason, detail))


def _strict(problem: LeftOut) -> CorpusError:
    detail = f" ({problem.detail})" if problem.detail else ""
    return CorpusError(
        f"{problem.source} cannot be read: {problem.reason}{detail}. Repair or remove it, or ingest without --strict."
    )
