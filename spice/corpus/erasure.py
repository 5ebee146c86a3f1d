"""The right to erasure: finding a document everywhere in the store, and taking it out.

A version that holds the document cannot be changed, so its files go and its
manifest stays, for lineage, with a note beside it; the latest version of a
data set gets a successor without the document. Packs that hold it go whole:
the other files in them are read again when they are next needed.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spice.corpus import dataset
from spice.corpus.pack import DOCUMENTS, FILES, SEGMENTS
from spice.corpus.packs import KIND
from spice.errors import CorpusError, IntegrityError, NotFoundError
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.canonical import JSON, dumps, is_digest
from spice.store.refs import LATEST, MANIFEST

_LEAST_DIGITS = 8


@dataclass(frozen=True)
class Target:
    """A document to erase, and where it is.

    Attributes:
        documents: digests of the document and of its exact copies.
        words: digests of their words, by which copies with other case or layout are known.
        sources: the names that they have.
        versions: references of the dataset versions that hold one of them.
        packs: references of the packs that do.
        near_copies: names of documents that were left out as near copies; they may take its place when it is gone.
    """

    documents: tuple[str, ...]
    words: tuple[str, ...]
    sources: tuple[str, ...]
    versions: tuple[str, ...]
    packs: tuple[str, ...]
    near_copies: tuple[str, ...]


def find(store: ObjectStore, name: str, decided: Iterable[Set[str]] = ()) -> Target:
    """Find a document in all versions and packs of the store.

    Args:
        store: where to look; every version and pack is read.
        name: its digest (`document_id` of its segments), at least eight digits of it, or its name in the corpus.
        decided: of each earlier decision to erase the digests of documents and words. What an interrupted purge has
            removed can tell no more which copies the document had.

    Raises:
        CorpusError: it is nowhere, or the digits fit more than one.
        IntegrityError: a version or pack is damaged, so nobody can tell what it holds.
    """
    named = _named(store, name)
    known = {digest for digests in decided if named & digests for digest in digests}
    named |= {digest for digest in known if is_digest(digest)}
    packs = _packs(store)
    words = known - named
    words |= {word for ref in packs for _, word in _packed(store, ref, packs[ref], "document_id", named)}
    copies = {ref: set(_packed(store, ref, packs[ref], "words", words)) for ref in packs}
    ids = named | {document for rows in copies.values() for document, _ in rows}
    found = [(ref, *row) for ref in versions(store) for row in _holding(store, ref, ids)]
    return Target(
        documents=tuple(sorted(ids)),
        words=tuple(sorted(words)),
        sources=tuple(sorted({source for _, document, source, _ in found if document in ids})),
        versions=tuple(sorted({ref for ref, document, _, _ in found if document in ids})),
        packs=tuple(sorted(ref for ref, rows in copies.items() if rows)),
        near_copies=tuple(sorted({source for _, one, source, kept in found if kept in ids and one not in ids})),
    )


def purge(store: ObjectStore, target: Target) -> dict[str, str]:
    """Take a document out of packs and versions; repeating it completes what was interrupted.

    Returns:
        For each latest version that held it the reference of its successor.
    """
    successors = {}
    for ref in target.versions:
        prefix = ref.rpartition("/")[0]
        if _is_latest(store, ref):
            successors[ref] = _successor(store, ref, frozenset(target.documents), frozenset(target.sources))
            artifacts.tag(store, prefix, LATEST, successors[ref].rpartition("/")[2])
        note: dict[str, JSON] = {"documents": list(target.documents), "successor": successors.get(ref)}
        store.put(f"{ref}/{dataset.WITHDRAWN}", dumps(note))
    # All that bear the note, so that what another one began is completed too.
    for info in list(store.list("datasets/")):
        if info.key.endswith(f"/{dataset.WITHDRAWN}"):
            _withdraw(store, info.key.rpartition("/")[0])
    for ref in target.packs:
        _remove_pack(store, ref)
    return successors


def versions(store: ObjectStore) -> Iterator[str]:
    """References of all dataset versions whose files are there."""
    keys = [info.key for info in store.list("datasets/")]
    withdrawn = {key.rpartition("/")[0] for key in keys if key.endswith(f"/{dataset.WITHDRAWN}")}
    for key in keys:
        ref, _, name = key.rpartition("/")
        if name == MANIFEST and ref not in withdrawn and is_digest(ref.rpartition("/")[2]):
            yield ref


def _is_latest(store: ObjectStore, ref: str) -> bool:
    try:
        return artifacts.resolve(store, f"{ref.rpartition('/')[0]}@{LATEST}") == ref
    except NotFoundError:
        return False


def _named(store: ObjectStore, name: str) -> set[str]:
    """The documents of that name, or the one of that digest or of these first digits of it."""
    digits = len(name) >= _LEAST_DIGITS and not set(name) - set("0123456789abcdef")

    def fits(batch: pa.RecordBatch) -> pa.Array:
        called = pc.equal(batch.column("source"), name)
        return pc.or_(called, pc.starts_with(batch.column("document_id"), name)) if digits else called

    found = {row[:2] for ref in versions(store) for row in _rows(store, ref, fits)}
    by_name = {document for document, source in found if source == name}
    ids = by_name or {document for document, _ in found} or ({name} if is_digest(name) else set())
    if not ids:
        raise CorpusError(f"{name} is no document of a version in {store.url}. Give its name or its digest.")
    if len(ids) > 1 and not by_name:
        raise CorpusError(f"{name} could be any of {', '.join(sorted(ids))}; give more digits.")
    return ids


def _holding(store: ObjectStore, ref: str, ids: Set[str]) -> set[tuple[str, str, str]]:
    """What a version has of some documents, and of those that repeat them, as `_rows` gives it."""
    wanted = pa.array(sorted(ids), pa.string())

    def fits(batch: pa.RecordBatch) -> pa.Array:
        masks = (
            pc.is_in(batch.column(name), wanted) for name in ("document_id", "kept_id") if name in batch.schema.names
        )
        return reduce(pc.or_, masks)

    return set(_rows(store, ref, fits))


def _rows(store: ObjectStore, ref: str, fits: Callable[[pa.RecordBatch], pa.Array]) -> Iterator[tuple[str, str, str]]:
    """(document, its name, the document that it repeats or "") of what fits in a version, segment by segment."""
    for name in artifacts.files(store, ref):
        if not name.endswith(".parquet"):
            continue
        columns = ["document_id", "source", *(["kept_id"] if name == dataset.CLUSTERS else [])]
        for batch in _parquet(store, ref, name).iter_batches(columns=columns, use_threads=False):
            for row in batch.filter(fits(batch)).to_pylist():
                yield row["document_id"], row["source"], row.get("kept_id", "")


def _packs(store: ObjectStore) -> dict[str, bool]:
    """References of all packs of which the list of documents is there, and whether the manifest is, too."""
    keys = {info.key for info in store.list(f"{KIND}/")}
    refs = sorted(key.removesuffix(f"/{DOCUMENTS}") for key in keys if key.endswith(f"/{DOCUMENTS}"))
    return {ref: f"{ref}/{MANIFEST}" in keys for ref in refs}


def _packed(
    store: ObjectStore, ref: str, is_complete: bool, column: str, wanted: Set[str]
) -> Iterator[tuple[str, str]]:
    """(document, digest of its words) of the documents in a pack of which one of the two is wanted."""
    values = pa.array(sorted(map(bytes.fromhex, wanted)), pa.binary())
    # Without a manifest it is being written, or its removal was interrupted.
    data = artifacts.read(store, ref, DOCUMENTS) if is_complete else store.get(f"{ref}/{DOCUMENTS}")
    try:
        table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
        rows = table.select(["document_id", "words"]).filter(pc.is_in(table[column], values)).to_pylist()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise IntegrityError(f"{ref}/{DOCUMENTS} is no table of a pack: {error}") from error
    for row in rows:
        yield row["document_id"].hex(), row["words"].hex()


def _successor(store: ObjectStore, ref: str, documents: frozenset[str], sources: frozenset[str]) -> str:
    """Write a version like another, without some documents."""
    fields = artifacts.manifest(store, ref)
    # All of them, so that none stays as it was when the last document of its split goes.
    counts = {f"{what}_{split}": 0 for what in ("documents", "segments", "tokens") for split in dataset.SPLITS}
    with tempfile.TemporaryDirectory(prefix="spice-erase-") as place:
        folder = Path(place)
        shards, clusters = dataset.ShardWriter(folder), dataset.ClusterWriter(folder / dataset.CLUSTERS)
        before = ""
        for segment in dataset.iterate(store, ref):
            if segment.document_id not in documents:
                shards.add(segment)
                counts[f"documents_{segment.split}"] += segment.document_id != before
                counts[f"segments_{segment.split}"] += 1
                counts[f"tokens_{segment.split}"] += segment.tokens
                before = segment.document_id  # its segments stand together
        shards.flush()
        for cluster in dataset.clusters(store, ref):
            if not {cluster.document_id, cluster.kept_id} & documents:
                clusters.add(cluster)
        clusters.close()
        left_out = folder / dataset.LEFT_OUT
        with left_out.open("wb") as out:
            out.writelines(_left_out_without(store, ref, sources))
        files: dict[str, bytes | Path] = {**shards.files, dataset.CLUSTERS: clusters.path, dataset.LEFT_OUT: left_out}
        kept = {key: value for key, value in fields.items() if key != "files"}
        changed: dict[str, JSON] = {
            "counts": {**fields["counts"], **counts},
            "quarantined": [item for item in fields.get("quarantined", ()) if item[0] not in sources],
            "erased": sorted({*fields.get("erased", ()), *documents}),
        }
        return artifacts.write(store, ref.rpartition("/")[0], files, {**kept, **changed})


def _left_out_without(store: ObjectStore, ref: str, sources: frozenset[str]) -> Iterator[bytes]:
    """The lines of what was left out that do not name a document."""
    return (line for line in dataset.left_out(store, ref) if not _mentions(json.loads(line), sources))


def _mentions(item: dict[str, Any], sources: frozenset[str]) -> bool:
    return item["source"] in sources or item["detail"] in sources


def _withdraw(store: ObjectStore, ref: str) -> None:
    """Delete the files of a version, and keep what tells of it."""
    for info in list(store.list(f"{ref}/")):
        if info.key.rpartition("/")[2] not in {MANIFEST, dataset.WITHDRAWN}:
            store.delete(info.key)


def _remove_pack(store: ObjectStore, ref: str) -> None:
    """Delete a pack: its text first, and last the list by which an interrupted removal is found again."""
    present = {info.key for info in store.list(f"{ref}/")}
    for name in (SEGMENTS, FILES, MANIFEST, DOCUMENTS):
        if f"{ref}/{name}" in present:
            store.delete(f"{ref}/{name}")


def _parquet(store: ObjectStore, ref: str, name: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(io.BytesIO(artifacts.read(store, ref, name)))
    except pa.ArrowException as error:
        raise IntegrityError(f"{ref}/{name} is no table of a version: {error}") from error
