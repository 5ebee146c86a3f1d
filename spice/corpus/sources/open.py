"""From what a user names to a source."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from spice.config import CorpusConfig, StoreConfig
from spice.corpus.source import LeftOut, Source, SourceItem
from spice.corpus.sources.local import LocalSource
from spice.errors import CorpusError


def open_sources(
    specs: Sequence[str | Path], config: CorpusConfig, store: StoreConfig, environ: Mapping[str, str] = os.environ
) -> Source:
    """Everything that the specifications name, one after the other.

    Args:
        specs: folders and files; `s3://bucket/prefix`; `https://host/page`; `urls:FILE`, a file of addresses;
            `hf://owner/name[:config]/split[?text=column]`.
        config: what may be fetched.
        store: whose S3 endpoint is taken unless `corpus.sources.s3_endpoint` names another.
        environ: holds the credentials of S3, as for the store.

    Raises:
        CorpusError: a path does not exist, or an address is not understood or not allowed.
        ConfigError: credentials are missing.
    """
    texts = [str(spec) for spec in specs]
    sources: list[Source] = []
    if local := [Path(text) for text in texts if not _is_remote(text)]:
        sources.append(LocalSource(local, config))
    if addresses := [text for text in texts if text.startswith(("http://", "https://", "urls:"))]:
        from spice.corpus.sources.web import WebSource

        sources.append(WebSource(addresses, config.sources))
    for text in texts:
        if text.startswith("s3://"):
            from spice.corpus.sources.bucket import BucketSource

            sources.append(BucketSource(text, config.sources, store, environ))
        elif text.startswith("hf://"):
            from spice.corpus.sources.hub import HubSource

            sources.append(HubSource(text, config))
    return _Chain(sources)


def _is_remote(text: str) -> bool:
    if text.startswith(("s3://", "http://", "https://", "hf://", "urls:")):
        return True
    scheme, separator, _ = text.partition("://")
    if separator and scheme.isalnum():
        raise CorpusError(
            f"{text} cannot be read: expected a folder, a file, s3://bucket/prefix, https://host/page, urls:FILE "
            "or hf://owner/name/split."
        )
    return False


class _Chain:
    """Several sources as one. Remote names are addresses, local ones are not: they cannot meet."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    def items(self) -> Iterator[SourceItem | LeftOut]:
        for source in self._sources:
            yield from source.items()
