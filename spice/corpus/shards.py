"""Ingest on several machines: each reads its share of the files into packs, and one merges what they read.

Which shard a file belongs to depends on its name alone. A shard leaves a list
of its files and their packs in the store; merging puts the lists together and
goes on as an ingest on one machine does, so the version is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from spice.corpus.catalogue import Catalogue
from spice.corpus.gather import Gathered
from spice.corpus.ingest import IngestReport, Job, Progress, finish, gather
from spice.corpus.packs import Packs
from spice.corpus.source import LeftOut, Source, SourceItem
from spice.corpus.workplace import workplace
from spice.errors import CorpusError, IntegrityError
from spice.store import artifacts
from spice.store.canonical import JSON

KIND = "shards"
FILES, PASSED = "files.jsonl", "passed_over.jsonl"


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Literal["shard"]
    made_with: str
    number: int = Field(ge=1)
    of: int = Field(ge=1)


_Row = TypeVar("_Row")

_FILE = TypeAdapter(tuple[str, int, str, int])
"""Name, start, pack and row in it, see `spice.corpus.catalogue.Entry`."""
_PASSED = TypeAdapter(LeftOut)


def ingest_shard(
    job: Job,
    documents: Sequence[Path] | Source,
    number: int,
    of: int,
    *,
    strict: bool = False,
    verify: bool = False,
    progress: Progress,
) -> str:
    """Read one share of the files, and return the reference `shards/<name>/<digest>` of the list of what was read.

    Args:
        job: the same for all shards.
        documents: all of them; the share is chosen here.
        number: of the shard, from 1.
        of: how many shards there are.
        strict: fail at an unreadable file.
        verify: look at the bytes of every file.
        progress: told after each file.

    Raises:
        CorpusError: there is no such shard, or, if `strict`, an unreadable file.
    """
    if not 1 <= number <= of:
        raise CorpusError(f"There is no shard {number}/{of}. Shards are numbered from 1.")

    def takes(name: str) -> bool:
        return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) % of == number - 1

    with workplace(job.store.url, job.name, f"{number}/{of}") as folder:
        packs = Packs(job.store, job.name, job.made_with, folder / "packs")
        with Catalogue(folder / "catalogue.sqlite") as catalogue:
            gather(job, documents, catalogue, packs, folder, strict, verify, progress, takes=takes)
            files = folder / FILES
            with files.open("w", encoding="utf-8", newline="\n") as out:
                for entry in catalogue.entries():
                    out.write(json.dumps([entry.name, entry.start, entry.pack, entry.file], ensure_ascii=False) + "\n")
            passed = folder / PASSED
            with passed.open("w", encoding="utf-8", newline="\n") as out:
                out.writelines(_PASSED.dump_json(one).decode() + "\n" for one in catalogue.passed_over())
            fields: dict[str, JSON] = {
                "kind": "shard",
                "made_with": job.made_with,
                "number": number,
                "of": of,
                "packs": catalogue.used_packs(),
            }
            return artifacts.write(job.store, f"{KIND}/{job.name}", {FILES: files, PASSED: passed}, fields)


def merge(job: Job, shards: Sequence[str], progress: Progress) -> IngestReport:
    """Make a version of what all shards read.

    Args:
        job: the one that they were given.
        shards: their references.
        progress: told after each file.

    Raises:
        CorpusError: a shard is missing or there twice, or was read with other settings.
        IntegrityError: a list is not what was written.
    """
    _require_complete(job, shards)
    with workplace(job.store.url, job.name) as folder:
        packs = Packs(job.store, job.name, job.made_with, folder / "packs")
        with Catalogue(folder / "catalogue.sqlite") as catalogue:
            for ref in shards:
                lists = artifacts.download(job.store, ref, folder / ref.rpartition("/")[2])
                for name, start, pack, file in _lines(lists / FILES, ref, _FILE):
                    catalogue.add_file(SourceItem(name, name, None, None, start=start), pack, file)
                for problem in _lines(lists / PASSED, ref, _PASSED):
                    catalogue.pass_over(problem)
            return finish(job, catalogue, packs, folder, Gathered(), progress)


def _require_complete(job: Job, shards: Sequence[str]) -> None:
    found = []
    for ref in shards:
        try:
            found.append(_Manifest.model_validate(artifacts.manifest(job.store, ref)))
        except ValidationError as error:
            raise CorpusError(f"{ref} is no shard of an ingest. Name what `spice ingest --shard` printed.") from error
    if any(one.made_with != job.made_with for one in found):
        raise CorpusError("A shard was read with other settings, another model or another version of this program.")
    of = {one.of for one in found}
    missing = sorted(set(range(1, max(of, default=1) + 1)) - {one.number for one in found})
    if missing:
        raise CorpusError(f"Shards are missing: {', '.join(map(str, missing))} of {max(of, default=1)}.")
    if len(of) != 1 or len(found) != max(of):
        raise CorpusError(f"These {len(found)} shards are not those of one division: {', '.join(shards)}.")


def _lines(path: Path, ref: str, row: TypeAdapter[_Row]) -> Iterator[_Row]:
    """The rows of a list, of which there may be more than memory has room for."""
    try:
        with path.open("rb") as file:
            yield from map(row.validate_json, file)
    except (OSError, ValidationError) as error:
        raise IntegrityError(f"{ref}/{path.name} is not a list that this program wrote: {error}") from error
