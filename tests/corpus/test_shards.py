"""Several machines give what one gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from spice.config import CorpusConfig, StoreConfig
from spice.corpus.ingest import Job, ingest
from spice.corpus.shards import ingest_shard, merge
from spice.errors import CorpusError
from spice.store import ObjectStore, open_store

CONFIG = CorpusConfig(segment_tokens=40, min_segment_tokens=3, held_out_share=0.3)


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def silent(done: int, total: int, what: str) -> None:
    """Report to nobody."""


@pytest.fixture
def job(store: ObjectStore) -> Job:
    return Job("test", store, CONFIG, "words", count_words)


@pytest.fixture
def documents(folder: Path, prose: Callable[..., str]) -> Path:
    for i in range(40):
        (folder / f"{i}.txt").write_text(prose(f"topic{i % 30}"))
    (folder / "rows.jsonl").write_text("".join(f'{{"text": "{prose(f"row{i}")}"}}\n' for i in range(50)))
    (folder / "empty.txt").touch()
    (folder / ".hidden").touch()
    return folder


@pytest.mark.parametrize("of", [1, 2, 5])
def test_merged_shards_are_the_version_of_one_machine(job: Job, documents: Path, of: int) -> None:
    read = [ingest_shard(job, [documents], number, of, progress=silent) for number in range(1, of + 1)]
    alone = open_store(StoreConfig(url=f"{job.store.url}-alone"))
    expected = ingest([documents], "test", alone, CONFIG, "words", count_words)
    assert merge(job, read, silent).ref == expected.ref
    assert merge(job, read[::-1], silent).ref == expected.ref


def test_what_does_not_belong_together_is_refused(job: Job, documents: Path) -> None:
    read = [ingest_shard(job, [documents], number, 3, progress=silent) for number in (1, 2, 3)]
    other = replace(job, config=CONFIG.model_copy(update={"segment_tokens": 30}))
    foreign = ingest_shard(other, [documents], 3, 3, progress=silent)
    version = ingest([documents], "test", job.store, CONFIG, "words", count_words).ref
    for given, problem in (
        (read[:2], "missing: 3 of 3"),
        ([*read[:2], read[1]], "missing: 3 of 3"),
        ([*read, read[0]], "not those of one division"),
        ([*read[:2], foreign], "other settings"),
        ([version], "no shard"),
        ([], "missing: 1 of 1"),
    ):
        with pytest.raises(CorpusError, match=problem):
            merge(job, given, silent)
    with pytest.raises(CorpusError, match="no shard 4/3"):
        ingest_shard(job, [documents], 4, 3, progress=silent)
