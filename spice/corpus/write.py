"""The last step: what is kept goes into the version, and what is not is listed with its reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from spice.config import CorpusConfig
from spice.corpus.catalogue import Catalogue
from spice.corpus.clean import clean
from spice.corpus.compare import Outcome
from spice.corpus.dataset import CLUSTERS, LEFT_OUT, Cluster, ClusterWriter, Segment, ShardWriter, Split
from spice.corpus.found import Found, documents, passed, place
from spice.corpus.frequent import frequent
from spice.corpus.lines import LineHashes, without_lines
from spice.corpus.originals import Originals
from spice.corpus.packs import Packs
from spice.corpus.prepare import quarantined
from spice.corpus.screening import SCREEN
from spice.corpus.segment import CountTokens
from spice.corpus.source import LeftOut
from spice.store.canonical import digest

_LISTED = 100
# Steps that leave out what is no document: a file, a text without words, a part of what is there otherwise.
_NO_DOCUMENT = {"read", "clean", "part"}

Progress = Callable[[int, int, str], None]


@dataclass
class Written:
    """The files of a version, and what was counted on the way."""

    files: dict[str, Path] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    """By reason."""
    steps: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What left documents out, by step and reason."""
    formats: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Documents by format and whether they were `kept` or `left out`."""
    places: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Likewise by the first part of the name: a folder, or the server."""
    changed: Counter[str] = field(default_factory=Counter)
    """Documents out of which lines were taken, by step."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """The first unreadable files, with the reason."""
    quarantined: list[tuple[str, str]] = field(default_factory=list)
    """The first documents that a screen held back, with the reason."""


def write(
    catalogue: Catalogue,
    packs: Packs,
    outcome: Outcome,
    config: CorpusConfig,
    count_tokens: CountTokens,
    folder: Path,
    progress: Progress,
) -> Written:
    """Write the files of a dataset version into a folder.

    Args:
        catalogue: the files that were read.
        packs: what became of them.
        outcome: of comparing them.
        config: shortest segment, lines to take out.
        count_tokens: for segments out of which lines are taken.
        folder: exists and is empty.
        progress: told how many files are done.
    """
    repeated = frozenset[int]()
    if config.quality.boilerplate_documents:
        hashes = _kept_lines(catalogue, packs, outcome)
        found, _ = frequent(hashes, config.quality.boilerplate_documents, folder / "lines")
        repeated = frozenset(found.tolist())
    total = len(catalogue)
    with Originals(passed(catalogue, packs), outcome.repeats, folder / "originals") as originals:
        version = _Version(config, count_tokens, repeated, outcome, originals, folder)
        for problem in catalogue.passed_over():
            version.leave_out(problem)
        for done, (_, rows) in enumerate(groupby(documents(catalogue, packs), key=lambda one: one.entry)):
            progress(done, total, "write")
            version.add_file(rows, packs)
        progress(total, total, "write")
        return version.finish()


class _Version:
    """A version in the making."""

    def __init__(
        self,
        config: CorpusConfig,
        count_tokens: CountTokens,
        repeated: frozenset[int],
        outcome: Outcome,
        originals: Originals,
        folder: Path,
    ) -> None:
        self._config, self._count_tokens, self._repeated = config, count_tokens, repeated
        self._outcome, self._originals = outcome, originals
        self._written = Written(files={LEFT_OUT: folder / LEFT_OUT})
        self._list = (folder / LEFT_OUT).open("w", encoding="utf-8", newline="\n")
        self._segments, self._clusters = ShardWriter(folder), ClusterWriter(folder / CLUSTERS)
        self._next = 0

    def add_file(self, rows: Iterable[Found], packs: Packs) -> None:
        """Take in everything of one file."""
        is_read = False
        for one in rows:
            row = one.row
            is_read = is_read or row["stage"] != "read"
            self._written.notes.update(row["notes"])
            self._written.changed.update(row["changed"])
            self._written.counts["characters_removed"] += row["removed"]
            self._written.counts["documents"] += row["stage"] not in _NO_DOCUMENT
            if row["stage"]:
                self.leave_out(LeftOut(place(one), row["stage"], row["reason"], row["detail"]), row["format"])
                continue
            index, self._next = self._next, self._next + 1
            if (original := int(self._outcome.repeats[index])) >= 0:
                self._add_repeat(one, index, *self._originals.find(original))
            elif index in self._outcome.quarantined:
                reason, passage = self._outcome.quarantined[index]
                detail = quarantined(row["document_id"], passage)
                self.leave_out(LeftOut(place(one), SCREEN, reason, detail), row["format"])
            else:
                segments = packs.get(one.entry.pack).segments(one.number)
                self._add_document(one, segments, "held_out" if self._outcome.held_out[index] else "train")
        self._written.counts["files_read"] += is_read

    def leave_out(self, item: LeftOut, format: str = "") -> None:
        """List something that does not become part of the version."""
        written = self._written
        self._list.write(json.dumps(asdict(item), ensure_ascii=False) + "\n")
        written.left_out[item.reason] += 1
        written.steps[item.stage, item.reason] += 1
        written.counts["files_passed_over"] += item.stage == "walk"
        written.counts["files_skipped"] += item.stage == "read"
        written.counts["quarantined"] += item.stage == "screen"
        if format:
            written.formats[format, "left out"] += 1
            written.places[_top(item.source), "left out"] += 1
        listed = {"read": written.skipped, "screen": written.quarantined}.get(item.stage)
        if listed is not None and len(listed) < _LISTED:
            listed.append((item.source, item.reason))

    def finish(self) -> Written:
        """Complete the files."""
        self._list.close()
        self._segments.flush()
        self._clusters.close()
        self._written.files |= self._segments.files
        self._written.files[CLUSTERS] = self._clusters.path
        return self._written

    def _add_repeat(self, one: Found, index: int, kept_source: str, kept_id: str) -> None:
        exact, similarity = bool(self._outcome.exact[index]), float(self._outcome.similarity[index])
        self._written.counts["duplicates" if exact else "near_duplicates"] += 1
        stage, reason = ("duplicate", "duplicate") if exact else ("near_duplicate", "near duplicate")
        self.leave_out(LeftOut(place(one), stage, reason, kept_source), one.row["format"])
        document_id = one.row["document_id"].hex()
        self._clusters.add(Cluster(kept_id, kept_source, document_id, place(one), round(similarity, 4)))

    def _add_document(self, one: Found, pieces: Sequence[dict[str, Any]], split: Split) -> None:
        counts = self._written.counts
        if self._repeated and not self._repeated.isdisjoint(np.frombuffer(one.row["lines"], "<u8").tolist()):
            pieces = self._without_boilerplate(pieces)
            self._written.changed["boilerplate"] += 1
        kept = [piece for piece in pieces if piece["tokens"] >= self._config.min_segment_tokens]
        counts["segments_too_short"] += len(pieces) - len(kept)
        if not kept:
            counts["documents_too_short"] += 1
            self.leave_out(LeftOut(place(one), "segment", "too short"), one.row["format"])
            return
        counts[f"documents_{split}"] += 1
        counts[f"segments_{split}"] += len(kept)
        counts[f"tokens_{split}"] += sum(piece["tokens"] for piece in kept)
        self._written.formats[one.row["format"], "kept"] += 1
        self._written.places[_top(one.source), "kept"] += 1
        for number, piece in enumerate(kept):
            self._segments.add(_segment(one, number, piece, split))

    def _without_boilerplate(self, pieces: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        texts = [clean(without_lines(piece["text"], self._repeated, self._config)) for piece in pieces]
        counted = zip(pieces, texts, self._count_tokens(texts), strict=True)
        return [
            {**piece, "text": text, "tokens": tokens, "sha256": digest(text.encode())}
            for piece, text, tokens in counted
            if text
        ]


def _kept_lines(catalogue: Catalogue, packs: Packs, outcome: Outcome) -> Iterator[LineHashes]:
    """Hashes of the long lines of every document that is kept."""
    for index, one in enumerate(passed(catalogue, packs)):
        if outcome.repeats[index] < 0:
            yield np.frombuffer(one.row["lines"], "<u8")


def _segment(one: Found, number: int, piece: dict[str, Any], split: Split) -> Segment:
    document_id = one.row["document_id"].hex()
    return Segment(
        segment_id=f"{document_id[:16]}-{number:05d}",
        document_id=document_id,
        source=one.source,
        title=one.row["title"],
        unit=one.row["unit"],
        start=piece["start"],
        end=piece["end"],
        sha256=piece["sha256"],
        text=piece["text"],
        tokens=piece["tokens"],
        split=split,
    )


def _top(source: str) -> str:
    """The first part of a name, `.` for what lies at the top; of an address all up to the host."""
    scheme, separator, path = source.rpartition("://")
    top, slash, _ = path.partition("/")
    return f"{scheme}{separator}{top}" if slash else "."
