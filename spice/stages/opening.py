"""What several stages open: documents of a dataset version, read as they are asked for, and a checkpoint's engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spice.config import Config
from spice.corpus import passages
from spice.corpus.dataset import Segment, Split
from spice.corpus.passages import Passages
from spice.models.catalog import checkpoint_folder
from spice.selfplay.types import Document, Documents
from spice.store import ObjectStore

if TYPE_CHECKING:
    from spice.rollout.base import Engine


def document(segment: Segment) -> Document:
    """A passage as self-play knows it."""
    return Document(segment.segment_id, segment.source, segment.text, segment.title)


@contextmanager
def documents(store: ObjectStore, corpus: str, split: Split) -> Iterator[Documents]:
    """The passages of a dataset version as self-play knows them. Raises as `spice.corpus.passages.opened` does."""
    with passages.opened(store, corpus, split) as found:
        yield _Documents(found)


@contextmanager
def engine(store: ObjectStore, ref: str, config: Config) -> Iterator[tuple[Engine, Any]]:
    """The engine of a checkpoint and its tokenizer, from files verified against their digests."""
    from spice.models.loading import load_tokenizer
    from spice.rollout.open import open_engine

    folder = checkpoint_folder(ref, store)
    opened = open_engine(folder, config.model, config.rollout)
    try:
        yield opened, load_tokenizer(folder)
    finally:
        opened.close()


@dataclass(frozen=True)
class _Documents:
    """Passages as documents."""

    passages: Passages

    def __len__(self) -> int:
        return len(self.passages)

    def __getitem__(self, position: int) -> Document:
        return document(self.passages[position])

    def __iter__(self) -> Iterator[Document]:
        return map(document, self.passages)
