"""What several stages open: documents of a dataset version, and the engine of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from spice.config import Config
from spice.corpus.dataset import Segment
from spice.models.catalog import checkpoint_folder
from spice.selfplay.types import Document
from spice.store import ObjectStore

if TYPE_CHECKING:
    from spice.rollout.base import Engine


def document(segment: Segment) -> Document:
    """A passage as self-play knows it."""
    return Document(segment.segment_id, segment.source, segment.text, segment.title)


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
