"""Ingest: from files to a dataset version, in steps that each keep what they have done.

Read: every file becomes part of a pack, which holds what its documents become
by themselves; packs lie in the store, so a file whose bytes are known is not
read again, and a run that was killed goes on where it was. Compare: exact and
near duplicates are found among all documents. Write: what is kept goes into
the version. Nothing is left out silently: `left_out.jsonl` in the version names
every file and document that did not become part of it, with the reason.

The version depends on the documents and the configuration alone: not on the
order in which files arrive, on how many processes or machines read them, or on
what was known before.

A document is held out if the hash of its content says so, or that of any
document it is a duplicate of. So the choice does not depend on the order or
number of other documents, and a copy of a held-out one never gets into training.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from spice import __version__
from spice.config import CorpusConfig
from spice.corpus.catalogue import Catalogue
from spice.corpus.compare import compare, kept_texts
from spice.corpus.dataset import WITHDRAWN
from spice.corpus.filters.steps import FILTERS
from spice.corpus.gather import Gathered, Gatherer
from spice.corpus.packs import Packs, fingerprint
from spice.corpus.parsing import Parser
from spice.corpus.reading import Reader
from spice.corpus.screening import across
from spice.corpus.segment import CountTokens
from spice.corpus.source import Source, SourceItem
from spice.corpus.sources.local import LocalSource
from spice.corpus.workers import InProcess, Pool, Readers
from spice.corpus.workplace import workplace
from spice.corpus.write import Written, write
from spice.errors import CorpusError
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.canonical import JSON, file_digest

Progress = Callable[[int, int, str], None]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
# Where work is done and where documents come from shape no document.
_WITHOUT_EFFECT = {"workers", "sources"}
# So few are read before processes for it have started.
_FEW_FILES = 64
_PLACES = 200


@dataclass(frozen=True)
class IngestReport:
    """What became of the documents."""

    ref: str
    counts: dict[str, int]
    skipped: list[tuple[str, str]]
    """Unreadable files, the first hundred: source and reason."""
    quarantined: list[tuple[str, str]]
    """Documents that a screen held back, the first hundred: source and reason."""
    warnings: list[str]
    filtered: dict[str, int]
    """Documents that each quality filter left out."""
    read: int = 0
    """Files that were read."""
    reused: int = 0
    """Files that were known and not read again."""


@dataclass(frozen=True)
class Job:
    """What is made of documents, and where it goes.

    Attributes:
        name: of the dataset; lower-case letters, digits, dot, dash, underscore.
        store: where the version goes.
        config: limits and thresholds.
        tokenizer_id: recorded in the manifest; says whose tokens were counted.
        count_tokens: tokens of each given text.
        tokenizer: folder of the tokenizer, of which other processes make their own counters; without it none start.
        erased: digests of documents that must not come back, see `spice.corpus.erasure`.
        admitted: digests of documents to which no screen applies, see `spice.corpus.screening`.

    Raises:
        CorpusError: a bad name.
    """

    name: str
    store: ObjectStore
    config: CorpusConfig
    tokenizer_id: str
    count_tokens: CountTokens
    tokenizer: Path | None = None
    erased: frozenset[bytes] = frozenset()
    admitted: frozenset[bytes] = frozenset()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise CorpusError(
                f'"{self.name}" cannot name a dataset. Use lower-case letters, digits, dots, dashes, underscores.'
            )

    @property
    def made_with(self) -> str:
        """What the packs depend on besides the files."""
        file = self.tokenizer / "tokenizer.json" if self.tokenizer else None
        return fingerprint(self.config, self.tokenizer_id, file_digest(file) if file else "")


def ingest(
    documents: Sequence[Path] | Source,
    name: str,
    store: ObjectStore,
    config: CorpusConfig,
    tokenizer_id: str,
    count_tokens: CountTokens,
    strict: bool = False,
    progress: Progress | None = None,
    *,
    tokenizer: Path | None = None,
    erased: frozenset[bytes] = frozenset(),
    admitted: frozenset[bytes] = frozenset(),
    verify: bool = False,
    total: int = 0,
) -> IngestReport:
    """Read documents and write a dataset version `datasets/<name>/<digest>`.

    Args:
        documents: folders and files, or another source.
        name: see `Job`, as for the other fields of it.
        store: where the version goes.
        config: limits and thresholds.
        tokenizer_id: recorded in the manifest.
        count_tokens: tokens of each given text.
        strict: fail at an unreadable file instead of leaving it out.
        progress: called with steps done, steps in all (0 if nobody knows), and what is being done.
        tokenizer: folder of the tokenizer.
        erased: digests of documents that must not come back.
        admitted: digests of documents to which no screen applies.
        verify: look at the bytes of every file, even where its source says that it did not change.
        total: about how many files a source other than folders has, if somebody knows.

    Raises:
        CorpusError: nothing to read, nothing left to train on, a bad name, or, if `strict`, an unreadable file.
        StoreError: the store cannot be written.
    """
    job = Job(name, store, config, tokenizer_id, count_tokens, tokenizer, erased, admitted)
    tell = progress or _silent
    with workplace(store.url, name) as folder:
        packs = Packs(store, name, job.made_with, folder / "packs")
        with Catalogue(folder / "catalogue.sqlite") as catalogue:
            gathered = gather(job, documents, catalogue, packs, folder, strict, verify, tell, total)
            return finish(job, catalogue, packs, folder, gathered, tell)


def gather(
    job: Job,
    documents: Sequence[Path] | Source,
    catalogue: Catalogue,
    packs: Packs,
    folder: Path,
    strict: bool,
    verify: bool,
    progress: Progress,
    total: int = 0,
    takes: Callable[[str], bool] = lambda _name: True,
) -> Gathered:
    """Give every file whose name `takes` accepts an entry in the catalogue, reading what is new."""
    if isinstance(documents, Sequence):
        source: Source = LocalSource(documents, job.config)
        total = sum(map(count_files, documents))
    else:
        source = documents
    items = (one for one in source.items() if takes(one.name if isinstance(one, SourceItem) else one.source))
    processes = job.config.workers or len(os.sched_getaffinity(0))
    with ExitStack() as stack:
        readers: Readers
        if job.tokenizer is None or processes == 1 or 0 < total <= _FEW_FILES:
            parser = stack.enter_context(Parser(job.config))
            readers = InProcess(
                Reader(parser, job.config, job.erased, job.count_tokens, job.admitted), packs.new_folder
            )
            ahead = 0
        else:
            pool = Pool(processes, job.config, job.erased, job.tokenizer, packs.new_folder, job.admitted)
            readers, ahead = stack.enter_context(pool), 2 * processes
        gatherer = Gatherer(catalogue, packs, readers, job.config, folder / "fetched", ahead, verify, strict)
        return gatherer.gather(items, total, progress)


def finish(
    job: Job, catalogue: Catalogue, packs: Packs, folder: Path, gathered: Gathered, progress: Progress
) -> IngestReport:
    """Compare what the catalogue lists, and write the version."""
    if not len(catalogue):
        passed = sum(1 for _ in catalogue.passed_over())
        raise CorpusError(
            f"There is no file to read in the given places ({passed} entries were passed over: hidden, links, special "
            "or unreadable). Name a folder or a file with documents."
        )
    outcome = compare(catalogue, packs, job.config, folder / "compare", progress)
    held_back = across(lambda: kept_texts(catalogue, packs, outcome), job.config, job.admitted, folder / "passages")
    outcome = replace(outcome, quarantined=held_back)
    version = folder / "version"
    shutil.rmtree(version, ignore_errors=True)
    version.mkdir()
    written = write(catalogue, packs, outcome, job.config, job.count_tokens, version, progress)
    warnings = _check(written, job.config)
    fields: dict[str, JSON] = {
        "kind": "dataset",
        "name": job.name,
        "tokenizer": job.tokenizer_id,
        "code_version": __version__,
        "config": job.config.model_dump(mode="json", exclude=_WITHOUT_EFFECT),
        "counts": dict(written.counts),
        "left_out": dict(sorted(written.left_out.items())),
        "steps": _nested(written.steps),
        "formats": _nested(written.formats),
        "places": _nested(_largest(written.places)),
        "changed": dict(sorted(written.changed.items())),
        "notes": dict(sorted(written.notes.items())),
        "quarantined": [list(item) for item in written.quarantined],
        "warnings": warnings,
    }
    progress(0, 1, "store")
    ref = artifacts.write(job.store, f"datasets/{job.name}", written.files, fields)
    if job.store.head(f"{ref}/{WITHDRAWN}"):  # the decision that withdrew it was withdrawn itself
        job.store.delete(f"{ref}/{WITHDRAWN}")
    packs.note_used(catalogue.used_packs())
    progress(1, 1, "store")
    filtered = Counter[str]()
    for (step, _), count in written.steps.items():
        filtered[step] += count if step in FILTERS or step == "language" else 0
    return IngestReport(
        ref,
        dict(written.counts),
        written.skipped,
        written.quarantined,
        warnings,
        {step: count for step, count in filtered.items() if count},
        gathered.read,
        gathered.reused,
    )


def count_files(path: Path) -> int:
    """About how many files there are, to tell how long it will take."""
    if not path.is_dir():
        return int(path.exists())
    count, folders = 0, [os.fspath(path)]  # a stack, since `os.walk` does not stand a thousand folders in each other
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    count += 1
    return count


def _check(written: Written, config: CorpusConfig) -> list[str]:
    """Warnings; no document to train on is an error."""
    counts = written.counts
    if not counts["documents_train"]:
        reasons = "; ".join(f"{count} {reason}" for reason, count in sorted(written.left_out.items())) or "none"
        raise CorpusError(
            f"No document is left to train on: {counts['documents_held_out']} held out, left out: {reasons}. "
            "Add documents, or lower corpus.held_out_share or corpus.min_segment_tokens."
        )
    if config.held_out_share > 0 and not counts["documents_held_out"]:
        return ["No document is held out, so nothing can be measured on unseen documents. Add documents."]
    return []


def _largest(counted: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """The most frequent ones, the same whatever the order in which they were counted."""
    return Counter(dict(sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:_PLACES]))


def _nested(counted: Counter[tuple[str, str]]) -> dict[str, JSON]:
    """Counts by pair as counts by the second within the first, in order."""
    result: dict[str, dict[str, JSON]] = {}
    for (first, second), count in sorted(counted.items()):
        result.setdefault(first, {})[second] = count
    return dict(result)


def _silent(done: int, total: int, what: str) -> None:
    """Report progress to nobody."""
