"""Ingest: from files to a dataset version, in three passes.

Collect: every file is parsed, cleaned and screened, and its documents are
spooled to disk. Compare: near duplicates are found among all of them. Write:
what is kept is cut into segments and stored. Nothing is left out silently:
`left_out.jsonl` in the version names every file and document that did not
become part of it, with the reason.

A document is held out if the hash of its content says so, or that of any
document it is a duplicate of. So the choice does not depend on the order or
number of other documents, and a copy of a held-out one never gets into training.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from spice import __version__
from spice.config import CorpusConfig
from spice.corpus import near_duplicates
from spice.corpus.clean import clean, fingerprint_text
from spice.corpus.collect import Collected, Progress, collect
from spice.corpus.dataset import LEFT_OUT, Segment, ShardWriter, Split
from spice.corpus.segment import CountTokens, Piece, segment
from spice.corpus.source import LeftOut
from spice.corpus.spool import Record, Spool
from spice.errors import CorpusError
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.canonical import JSON

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_BATCH_BYTES = 4_000_000
_LISTED = 100


@dataclass(frozen=True)
class IngestReport:
    """What became of the documents."""

    ref: str
    counts: dict[str, int]
    skipped: list[tuple[str, str]]
    """Unreadable files: source and reason."""
    quarantined: list[tuple[str, str]]
    """Documents that speak to a model: source and reason."""
    warnings: list[str]


def ingest(
    paths: Sequence[Path],
    name: str,
    store: ObjectStore,
    config: CorpusConfig,
    tokenizer_id: str,
    count_tokens: CountTokens,
    strict: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Read documents and write a dataset version `datasets/<name>/<digest>`.

    Args:
        paths: folders and files.
        name: of the dataset; lower-case letters, digits, dot, dash, underscore.
        store: where the version goes.
        config: limits and thresholds.
        tokenizer_id: recorded in the manifest; says whose tokens were counted.
        count_tokens: tokens of each given text.
        strict: fail at the first unreadable file instead of leaving it out.
        progress: called with steps done, steps in all, and what is being done.

    Raises:
        CorpusError: nothing to read, nothing left to train on, a bad name, or, if `strict`, an unreadable file.
        StoreError: the store cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise CorpusError(f'"{name}" cannot name a dataset. Use lower-case letters, digits, dots, dashes, underscores.')
    try:
        with tempfile.TemporaryDirectory(prefix="spice-ingest-") as folder:
            return _ingest(
                Path(folder), paths, name, store, config, tokenizer_id, count_tokens, strict, progress or _silent
            )
    except OSError as error:
        raise CorpusError(
            f"The temporary folder {tempfile.gettempdir()} cannot be used: {error.strerror or error}. "
            "Ingest needs room there for the text of all documents, twice. Make room, or name another in TMPDIR."
        ) from error


def _ingest(
    folder: Path,
    paths: Sequence[Path],
    name: str,
    store: ObjectStore,
    config: CorpusConfig,
    tokenizer_id: str,
    count_tokens: CountTokens,
    strict: bool,
    progress: Progress,
) -> IngestReport:
    with Spool(folder / "spool") as spool:
        collected = collect(paths, config, strict, spool, progress)
        kept = _without_near_duplicates(collected, spool, config)
        writer = ShardWriter(folder)
        _write_segments(collected, kept, spool, config, count_tokens, writer, progress)
    warnings = _check(collected, config)
    files = {**writer.files, LEFT_OUT: _write_left_out(folder / LEFT_OUT, collected.left_out)}
    skipped, quarantined = _listed(collected, "read"), _listed(collected, "screen")
    fields: dict[str, JSON] = {
        "kind": "dataset",
        "name": name,
        "tokenizer": tokenizer_id,
        "code_version": __version__,
        "config": config.model_dump(mode="json"),
        "counts": dict(collected.counts),
        "left_out": _reasons(collected.left_out),
        "notes": dict(collected.notes),
        "quarantined": [list(item) for item in quarantined[:_LISTED]],
        "warnings": warnings,
    }
    progress(0, 1, "store")
    ref = artifacts.write(store, f"datasets/{name}", files, fields)
    progress(1, 1, "store")
    return IngestReport(ref, dict(collected.counts), skipped, quarantined, warnings)


def _without_near_duplicates(collected: Collected, spool: Spool, config: CorpusConfig) -> list[int]:
    """Indices of the records to keep. What a dropped one says about being held out goes to the one it repeats."""
    records = collected.records
    if not records:
        return []

    @lru_cache(maxsize=512)
    def load(index: int) -> near_duplicates.Hashes:
        return near_duplicates.shingles(fingerprint_text(clean(spool.text(records[index]))))

    found = near_duplicates.near_duplicates(np.stack(collected.bands), load, config.near_duplicate_threshold)
    dropped = {index: int(original) for index, original in enumerate(found.of) if original >= 0}
    for index, original in dropped.items():
        collected.counts["near_duplicates"] += 1
        collected.left_out.append(
            LeftOut(records[index].source, "near_duplicate", "near duplicate", records[original].source)
        )
        if index in collected.held_out:
            collected.held_out.add(original)
    return [index for index in range(len(records)) if index not in dropped]


def _write_segments(
    collected: Collected,
    kept: Sequence[int],
    spool: Spool,
    config: CorpusConfig,
    count_tokens: CountTokens,
    writer: ShardWriter,
    progress: Progress,
) -> None:
    done = 0
    for batch in _batches(collected.records, kept):
        progress(done, len(kept), "segment")
        texts = [spool.text(collected.records[index]) for index in batch]
        pieces = segment(texts, config.segment_tokens, config.max_line_chars, count_tokens)
        for index, text, found in zip(batch, texts, pieces, strict=True):
            split: Split = "held_out" if index in collected.held_out else "train"
            long_enough = [piece for piece in found if piece.tokens >= config.min_segment_tokens]
            collected.counts["segments_too_short"] += len(found) - len(long_enough)
            _count_document(collected, collected.records[index], split, long_enough)
            for one in _segments(collected.records[index], text, long_enough, split):
                writer.add(one)
        done += len(batch)
    progress(len(kept), len(kept), "segment")
    writer.flush()


def _count_document(collected: Collected, record: Record, split: Split, pieces: Sequence[Piece]) -> None:
    if not pieces:
        collected.counts["documents_too_short"] += 1
        collected.left_out.append(LeftOut(record.source, "segment", "too short"))
        return
    collected.counts[f"documents_{split}"] += 1
    collected.counts[f"segments_{split}"] += len(pieces)
    collected.counts[f"tokens_{split}"] += sum(piece.tokens for piece in pieces)


def _segments(record: Record, text: str, pieces: Sequence[Piece], split: Split) -> Iterator[Segment]:
    ranges = record.positions.locate(text, [(piece.start, piece.end) for piece in pieces])
    for number, (piece, (start, end)) in enumerate(zip(pieces, ranges, strict=True)):
        yield Segment(
            segment_id=f"{record.document_id[:16]}-{number:05d}",
            document_id=record.document_id,
            source=record.source,
            title=clean(record.title),
            unit=record.positions.unit,
            start=start,
            end=end,
            sha256=hashlib.sha256(piece.text.encode()).hexdigest(),
            text=piece.text,
            tokens=piece.tokens,
            split=split,
        )


def _batches(records: Sequence[Record], kept: Sequence[int]) -> Iterator[list[int]]:
    """Neighbours together, up to a few megabytes: enough for a tokenizer to be quick, little enough to hold."""
    batch: list[int] = []
    size = 0
    for index in kept:
        if batch and size + records[index].size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(index)
        size += records[index].size
    if batch:
        yield batch


def _check(collected: Collected, config: CorpusConfig) -> list[str]:
    """Warnings; no document to train on is an error."""
    counts = collected.counts
    if not counts["documents_train"]:
        reasons = "; ".join(f"{count} {reason}" for reason, count in _reasons(collected.left_out).items()) or "none"
        raise CorpusError(
            f"No document is left to train on: {counts['documents_held_out']} held out, left out: {reasons}. "
            "Add documents, or lower corpus.held_out_share or corpus.min_segment_tokens."
        )
    if config.held_out_share > 0 and not counts["documents_held_out"]:
        return ["No document is held out, so nothing can be measured on unseen documents. Add documents."]
    return []


def _reasons(left_out: Sequence[LeftOut]) -> dict[str, int]:
    return dict(sorted(Counter(item.reason for item in left_out).items()))


def _listed(collected: Collected, stage: str) -> list[tuple[str, str]]:
    return [(item.source, item.reason) for item in collected.left_out if item.stage == stage]


def _write_left_out(path: Path, left_out: Sequence[LeftOut]) -> Path:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in left_out)
    return path


def _silent(done: int, total: int, what: str) -> None:
    """Report progress to nobody."""
