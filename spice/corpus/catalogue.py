"""The catalogue of an ingest: which files there are, and which pack holds what became of each.

It lies in a database on disk, so a million files cost no memory, and gives the
files in order of their name, however they arrived.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from spice.corpus.pack import Pack
from spice.corpus.reading import file_key, place_key
from spice.corpus.source import LeftOut, SourceItem
from spice.errors import CorpusError

_SCHEMA = """
CREATE TABLE packs (number INTEGER PRIMARY KEY, ref TEXT NOT NULL UNIQUE);
CREATE TABLE known (key BLOB PRIMARY KEY, pack INTEGER NOT NULL, file INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE files (name TEXT NOT NULL, start INTEGER NOT NULL, pack INTEGER NOT NULL, file INTEGER NOT NULL,
    PRIMARY KEY (name, start)) WITHOUT ROWID;
CREATE TABLE passed (name TEXT NOT NULL, stage TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Entry:
    """A file of this ingest: what it is called, and where its documents are."""

    name: str
    start: int
    pack: str
    """Reference of the pack."""
    file: int
    """Its row in `files` of the pack."""


class Catalogue:
    """Files and packs.

    Args:
        path: of the database; what is there is replaced.
    """

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)
        self._database.execute("BEGIN")

    def __enter__(self) -> Catalogue:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def add_pack(self, ref: str, pack: Pack) -> None:
        """Learn what a pack knows, to be found by `known`."""
        number = self._pack(ref)
        rows = [
            (key, number, place)
            for place, row in enumerate(pack.files())
            if row["reusable"]
            for key in (row["key"], row["place"])
            if key
        ]
        self._database.executemany("INSERT OR IGNORE INTO known VALUES (?, ?, ?)", rows)

    def add_file(self, item: SourceItem, ref: str, file: int) -> None:
        """Enter a file of this ingest with its row in a pack.

        Raises:
            CorpusError: there is another file of that name.
        """
        try:
            values = (item.name, item.start, self._pack(ref), file)
            self._database.execute("INSERT INTO files VALUES (?, ?, ?, ?)", values)
        except sqlite3.IntegrityError as error:
            raise CorpusError(
                f"Two files would both be called {item.name}, one of them {item.uri}. Name their common folder instead."
            ) from error

    def pass_over(self, problem: LeftOut) -> None:
        """Enter something that is no file to read."""
        self._database.execute(
            "INSERT INTO passed VALUES (?, ?, ?, ?)", (problem.source, problem.stage, problem.reason, problem.detail)
        )

    def known(self, item: SourceItem, sha256: bytes | None) -> tuple[str, int] | None:
        """The pack and row that stand for a file: by its bytes if their digest is given, else by the source's word."""
        key = place_key(item) if sha256 is None else file_key(item, sha256)
        found = self._database.execute(
            "SELECT ref, file FROM known JOIN packs ON pack = number WHERE key = ?", (key,)
        ).fetchone()
        return (str(found[0]), int(found[1])) if key and found else None

    def entries(self) -> Iterator[Entry]:
        """All files of this ingest, in order of name and start."""
        rows = self._database.execute(
            "SELECT name, start, ref, file FROM files JOIN packs ON pack = number ORDER BY name, start"
        )
        for name, start, ref, file in rows:
            yield Entry(name, start, ref, file)

    def passed_over(self) -> Iterator[LeftOut]:
        """What was passed over, in order of name."""
        rows = self._database.execute("SELECT name, stage, reason, detail FROM passed ORDER BY name, reason, detail")
        for row in rows:
            yield LeftOut(*row)

    def used_packs(self) -> list[str]:
        """References of the packs that this ingest's files are in."""
        rows = self._database.execute("SELECT DISTINCT ref FROM files JOIN packs ON pack = number ORDER BY ref")
        return [ref for (ref,) in rows]

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM files").fetchone()[0])

    def _pack(self, ref: str) -> int:
        self._database.execute("INSERT OR IGNORE INTO packs (ref) VALUES (?)", (ref,))
        return int(self._database.execute("SELECT number FROM packs WHERE ref = ?", (ref,)).fetchone()[0])
