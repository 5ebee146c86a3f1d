"""The packs of a data set in the store, and their copies on this machine."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from spice.config import CorpusConfig
from spice.corpus.near_duplicates import bands_of
from spice.corpus.pack import NAMES, Pack, read_rows
from spice.errors import ConflictError
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.canonical import JSON, dumps
from spice.store.refs import MANIFEST
from spice.version import code_version

KIND = "packs"

# These choose among documents; all other settings shape one, or its fingerprint.
_CHOOSING = {
    "follow_symlinks",
    "held_out_share",
    "keep",
    "min_segment_tokens",
    "near_duplicate_bands",
    "near_duplicate_rows",
    "near_duplicate_threshold",
    "sources",
    "workers",
}
# Batches of rows that are held, of at most 256 kB of text or 1024 documents each.
_BATCHES = 16


def fingerprint(config: CorpusConfig, tokenizer: str, tokenizer_sha256: str) -> str:
    """What a pack depends on besides the files: 64 hexadecimal digits."""
    made_with: dict[str, JSON] = {
        "code": code_version(),
        "tokenizer": tokenizer,
        "tokenizer_sha256": tokenizer_sha256,
        "bands": list(bands_of(config)),
        "config": config.model_dump(mode="json", exclude=_CHOOSING),
    }
    return hashlib.sha256(dumps(made_with)).hexdigest()


class Packs:
    """The packs of one data set that were made with one configuration.

    Args:
        store: where they are kept.
        name: of the data set.
        made_with: their `fingerprint`.
        folder: of this machine, for copies; is made.
    """

    def __init__(self, store: ObjectStore, name: str, made_with: str, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._prefix = f"{KIND}/{name}/{made_with[:16]}"
        self._made_with = made_with
        self._used_key = f"{KIND}/{name}/used.json"
        self._open: dict[str, Pack] = {}
        self._read_rows = lru_cache(_BATCHES)(read_rows)
        folder.mkdir(parents=True, exist_ok=True)

    def refs(self) -> Iterator[str]:
        """References of all that are in the store, in order."""
        for info in self._store.list(f"{self._prefix}/"):
            if info.key.endswith(f"/{MANIFEST}"):
                yield info.key.removesuffix(f"/{MANIFEST}")

    def new_folder(self) -> Path:
        """An empty folder for a pack in the making."""
        path = self._folder / f"making-{os.urandom(8).hex()}"
        path.mkdir()
        return path

    def keep(self, folder: Path) -> str:
        """Store the pack in a folder that `new_folder` gave, and return its reference."""
        fields = {"kind": "pack", "made_with": self._made_with}
        ref = artifacts.write(self._store, self._prefix, {name: folder / name for name in NAMES}, fields)
        local = self._local(ref)
        if local.exists():
            shutil.rmtree(folder)
        else:
            folder.rename(local)
        return ref

    def get(self, ref: str) -> Pack:
        """A pack, verified when it is first asked for; of its rows only the last batches are held."""
        if ref not in self._open:
            self._open[ref] = Pack(artifacts.download(self._store, ref, self._local(ref)), self._read_rows)
        return self._open[ref]

    def note_used(self, refs: Sequence[str]) -> None:
        """Record which packs the latest version was made of: `spice gc` removes the others in time."""
        content = dumps({"packs": list(refs)})
        while True:
            found = self._store.read(self._used_key)
            try:
                self._store.swap(self._used_key, content, found[1] if found else None)
            except ConflictError:
                continue
            return

    def _local(self, ref: str) -> Path:
        return self._folder / ref.rpartition("/")[2]
