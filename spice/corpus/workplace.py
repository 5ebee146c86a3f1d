"""A folder for the work of an ingest, the same for the same command, so that what was killed can go on."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spice.errors import CorpusError


@contextmanager
def workplace(*what: str) -> Iterator[Path]:
    """A folder of our own below the temporary one, locked; it is removed at the end, except after a kill.

    Args:
        what: the texts that tell this work from other work.

    Raises:
        CorpusError: somebody is at the same work, or the folder cannot be used.
    """
    name = hashlib.sha256("\0".join(what).encode()).hexdigest()[:24]
    try:
        folder = Path(tempfile.gettempdir()) / f"spice-ingest-{os.getuid()}-{name}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise CorpusError(f"{folder} belongs to somebody else. Remove it, or name another place in TMPDIR.")
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CorpusError(
                    f"Another process ingests the same data set: it holds {folder}. Wait until it ends."
                ) from error
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise CorpusError(
            f"The temporary folder {tempfile.gettempdir()} cannot be used: {error.strerror or error}. "
            "Ingest needs room there for the text of all documents, twice. Make room, or name another in TMPDIR."
        ) from error
