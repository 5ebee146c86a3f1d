from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from spice.config import CorpusConfig, StoreConfig
from spice.corpus.document import UnreadableError
from spice.corpus.ingest import IngestReport, ingest
from spice.corpus.source import LeftOut, SourceItem, fetch
from spice.corpus.sources import open_sources
from spice.errors import ConfigError, CorpusError
from spice.store import ObjectStore, open_store

pytestmark = pytest.mark.integration


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def listed(config: StoreConfig) -> list[SourceItem | LeftOut]:
    return list(open_sources([config.url], CorpusConfig(), config).items())


def test_objects_are_listed_and_fetched(s3_store_config: StoreConfig, tmp_path: Path) -> None:
    store = open_store(s3_store_config)
    for key in ("a.txt", "deep/b.txt"):
        store.put(key, key.encode())
    items = [one for one in listed(s3_store_config) if isinstance(one, SourceItem)]
    assert sorted(one.name for one in items) == [f"{s3_store_config.url}/a.txt", f"{s3_store_config.url}/deep/b.txt"]
    for item in items:
        local = fetch(item, tmp_path, 100)
        assert local.path is not None
        assert local.path.read_bytes() == item.name.removeprefix(f"{s3_store_config.url}/").encode()
        assert local.size == item.size
    with pytest.raises(UnreadableError, match="too large"):
        fetch(items[0], tmp_path, 2)


def test_the_version_changes_with_the_bytes(s3_store_config: StoreConfig) -> None:
    store = open_store(s3_store_config)
    versions = []
    for data in (b"one", b"one", b"two"):
        store.put("a.txt", data)
        (item,) = listed(s3_store_config)
        assert isinstance(item, SourceItem)
        versions.append(item.version)
    assert versions[0] == versions[1] != versions[2]


def test_a_bucket_is_ingested_and_read_again_only_where_it_changed(
    s3_store_config: StoreConfig, store: ObjectStore, prose: Callable[..., str]
) -> None:
    bucket = open_store(s3_store_config)
    for name in ("amber", "basalt", "cedar"):
        bucket.put(f"{name}.md", prose(name).encode())
    config = CorpusConfig(segment_tokens=40, min_segment_tokens=3, held_out_share=0.0)

    def ingested() -> IngestReport:
        source = open_sources([s3_store_config.url], config, s3_store_config)
        return ingest(source, "test", store, config, "words", count_words)

    first = ingested()
    again = ingested()
    bucket.put("cedar.md", prose("chalk").encode())
    changed = ingested()
    assert (first.read, first.reused) == (3, 0)
    assert (again.ref, again.read, again.reused) == (first.ref, 0, 3)
    assert (changed.read, changed.reused) == (1, 2)
    assert changed.ref != first.ref


def test_an_object_that_is_gone_is_unreadable(s3_store_config: StoreConfig, tmp_path: Path) -> None:
    store = open_store(s3_store_config)
    store.put("a.txt", b"x")
    (item,) = listed(s3_store_config)
    store.delete("a.txt")
    assert isinstance(item, SourceItem)
    with pytest.raises(UnreadableError, match=r"cannot be opened \(NoSuchKey\)"):
        fetch(item, tmp_path, 100)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_prefix_a_wrong_bucket_and_a_dead_service_are_errors(s3_store_config: StoreConfig) -> None:
    with pytest.raises(CorpusError, match="There is no object"):
        listed(s3_store_config)
    with pytest.raises(CorpusError, match="cannot be read: NoSuchBucket"):
        listed(s3_store_config.model_copy(update={"url": "s3://no-such-bucket/x"}))
    with pytest.raises(ConfigError, match="expected the name of a bucket"):
        listed(s3_store_config.model_copy(update={"url": "s3://X"}))


def test_credentials_are_never_in_the_configuration() -> None:
    with pytest.raises(ConfigError, match="SPICE_S3_ACCESS_KEY"):
        open_sources(["s3://bucket/x"], CorpusConfig(), StoreConfig(), environ={})
