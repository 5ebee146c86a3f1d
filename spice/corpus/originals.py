"""The kept documents that others repeat: what they are called, on disk, since there may be millions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from spice.corpus.found import Found, place


class Originals:
    """Name and id of each document that another one repeats.

    Args:
        passed: all documents that were compared, in order.
        repeats: the document that each repeats, -1 if none, shape (documents,).
        path: of the file that is made.
    """

    def __init__(self, passed: Iterable[Found], repeats: NDArray[np.int64], path: Path) -> None:
        self._wanted = np.unique(repeats[repeats >= 0])
        self._offsets = np.zeros(len(self._wanted), np.int64)
        self._file = path.open("w+b")
        if len(self._wanted):
            self._fill(passed)

    def __enter__(self) -> Originals:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def find(self, document: int) -> tuple[str, str]:
        """Name and id of a document that another one repeats."""
        self._file.seek(int(self._offsets[np.searchsorted(self._wanted, document)]))
        source, document_id = json.loads(self._file.readline())
        return source, document_id

    def _fill(self, passed: Iterable[Found]) -> None:
        is_wanted = np.zeros(int(self._wanted[-1]) + 1, np.bool_)
        is_wanted[self._wanted] = True
        number = 0
        for index, one in enumerate(passed):
            if index < len(is_wanted) and is_wanted[index]:
                self._offsets[number] = self._file.tell()
                self._file.write(json.dumps([place(one), one.row["document_id"].hex()]).encode() + b"\n")
                number += 1
