"""The stage that turns documents into a dataset version, on one machine or on several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from spice.config import Config
from spice.corpus import shards
from spice.corpus.ingest import IngestReport, Job, count_files
from spice.corpus.ingest import ingest as ingest_documents
from spice.corpus.sources.open import open_sources
from spice.models.catalog import locate
from spice.models.tokenizer import token_counter
from spice.promotion.admission import admitted
from spice.promotion.erasure import erased
from spice.reporting.documents import build
from spice.store import ObjectStore, artifacts, open_store
from spice.store.refs import LATEST


class Progress(Protocol):
    """Called with steps done, steps in all (0 if nobody knows), and the phase."""

    def __call__(self, done: int, total: int, what: str) -> None:
        """Say how far the work is."""
        ...


def ingest(
    documents: Sequence[str | Path],
    name: str,
    config: Config,
    *,
    strict: bool = False,
    verify: bool = False,
    progress: Progress,
) -> IngestReport:
    """Write the dataset version `datasets/<name>/<digest>`, from now on the latest; see `spice.corpus.ingest`.

    Args:
        documents: folders, files and other sources, see `spice.corpus.sources.open`.
        name: of the dataset.
        config: sections `corpus`, `model` (whose tokens are counted) and `store`.
        strict: fail at an unreadable file.
        verify: look at the bytes of every file, even where its source says that it did not change.
        progress: told after each file.

    Raises:
        IntegrityError: the ledger is broken, so nobody can tell which documents were erased.
    """
    job = _job(name, config)
    report = ingest_documents(
        open_sources(documents, config.corpus, config.store),
        name,
        job.store,
        config.corpus,
        job.tokenizer_id,
        job.count_tokens,
        strict=strict,
        progress=progress,
        tokenizer=job.tokenizer,
        erased=job.erased,
        admitted=job.admitted,
        verify=verify,
        total=sum(count_files(Path(spec)) for spec in documents),
    )
    return _latest(job.store, report)


def ingest_shard(
    documents: Sequence[str | Path],
    name: str,
    config: Config,
    number: int,
    of: int,
    *,
    strict: bool = False,
    verify: bool = False,
    progress: Progress,
) -> str:
    """Read one share of the documents, for `merge_shards`; see `ingest` and `spice.corpus.shards`."""
    job, source = _job(name, config), open_sources(documents, config.corpus, config.store)
    return shards.ingest_shard(job, source, number, of, strict=strict, verify=verify, progress=progress)


def merge_shards(read: Sequence[str], name: str, config: Config, *, progress: Progress) -> IngestReport:
    """Write the version that `ingest` would have written, from now on the latest, of what all shards read."""
    job = _job(name, config)
    return _latest(job.store, shards.merge(job, read, progress))


def _job(name: str, config: Config) -> Job:
    store = open_store(config.store)
    tokenizer = locate(config.model, store)
    count = token_counter(tokenizer)
    return Job(name, store, config.corpus, config.model.name, count, tokenizer, erased(store), admitted(store))


def _latest(store: ObjectStore, report: IngestReport) -> IngestReport:
    """Make a version the latest of its data set, and write the page about it."""
    prefix, _, digest = report.ref.rpartition("/")
    artifacts.tag(store, prefix, LATEST, digest)
    build(store, report.ref)
    return report
