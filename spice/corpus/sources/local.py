"""Folders and files: a walk that is the same everywhere, holds no list, and cannot run away."""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from spice.config import CorpusConfig
from spice.corpus.document import printable
from spice.corpus.source import LeftOut, SourceItem
from spice.corpus.sources.lines import parts
from spice.errors import CorpusError

Entry = SourceItem | LeftOut


class LocalSource:
    """The files under some paths, in the order of their names.

    Names are relative to the given folder; with several paths each name
    begins with the name of its path. Hidden entries are passed over, symbolic
    links too unless `corpus.follow_symlinks`, and then they must stay inside.

    Raises:
        CorpusError: a path does not exist.
    """

    def __init__(self, paths: Sequence[Path], config: CorpusConfig) -> None:
        for given in paths:
            if not given.exists():
                raise CorpusError(f"{given} does not exist. Name a folder or a file with documents.")
        self._paths = list(paths)
        self._config = config

    def items(self) -> Iterator[Entry]:
        """All files and what is passed over. Raises `CorpusError` if two would have the same name."""
        several = len(self._paths) > 1
        seen: set[tuple[int, int]] | None = set() if self._config.follow_symlinks else None
        walks = [
            _Walk(path, f"{path.resolve().name}/" if several and path.is_dir() else "", self._config, seen).entries()
            for path in _outermost(self._paths)
        ]
        before: tuple[str, SourceItem] | None = None
        for name, entry in heapq.merge(*walks, key=lambda pair: pair[0]):
            if isinstance(entry, SourceItem):
                if before is not None and before[0] == name:
                    raise CorpusError(
                        f"{before[1].path} and {entry.path} would both be called {name}. "
                        "Name their common folder instead."
                    )
                before = (name, entry)
                yield from parts(entry, self._config)
            else:
                yield entry


def _outermost(paths: Sequence[Path]) -> list[Path]:
    """The paths without those that the walk of another one comes to, so that no file is read twice."""
    real = [path.resolve() for path in paths]
    return [
        path
        for i, path in enumerate(paths)
        if not any(_reaches(other, real[i], other == real[i] and j > i) for j, other in enumerate(real) if j != i)
    ]


def _reaches(root: Path, path: Path, later: bool) -> bool:
    if root == path:
        return not later  # of one path given twice, the first stays
    return path.is_relative_to(root) and not any(part.startswith(".") for part in path.relative_to(root).parts)


class _Walk:
    """One path. Depth first, each folder in order, so that names come in order without a list of all."""

    def __init__(self, given: Path, prefix: str, config: CorpusConfig, seen: set[tuple[int, int]] | None) -> None:
        self._given = given
        self._prefix = prefix
        self._root = given.resolve()
        self._follow = config.follow_symlinks
        self._folders = {self._root}
        self._seen = seen
        """Where links are followed, the files that were met, since several names may lead to one."""

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Names and what they stand for. The stack instead of recursion stands any depth."""
        if not self._given.is_dir():
            name = printable(self._given.name)
            yield name, self._file(self._given, name, self._given.stat())
            return
        stack = [(self._given, self._prefix, self._listed(self._given, self._prefix))]
        while stack:
            folder, at, names = stack[-1]
            one = next(names, None)
            if one is None:
                stack.pop()
            elif isinstance(one, LeftOut):
                yield one.source, one
            else:
                name = at + printable(one)
                found = self._entry(folder / one, name)
                if isinstance(found, Path):
                    stack.append((found, f"{name}/", self._listed(found, f"{name}/")))
                elif found is not None:
                    yield name, found

    def _listed(self, folder: Path, at: str) -> Iterator[str | LeftOut]:
        """The names in a folder, and nothing else of them: it may have a million."""
        try:
            with os.scandir(folder) as entries:
                keys = sorted(map(_key, entries))
        except OSError as error:
            return iter([LeftOut(at, "read", "folder cannot be listed", error.strerror or "")])
        return (key.removesuffix("/") for key in keys)

    def _entry(self, path: Path, name: str) -> Entry | Path | None:
        """An item, a reason to leave it out, a folder to walk, or nothing for what was met under another name."""
        if path.name.startswith("."):
            return LeftOut(name, "walk", "hidden")
        try:
            info = path.lstat()
            if stat.S_ISLNK(info.st_mode):
                if reason := self._refuse_link(path):
                    return LeftOut(name, "walk", reason)
                info = path.stat()
        except OSError as error:  # gone since the listing
            return LeftOut(name, "read", "cannot be opened", error.strerror or "")
        if self._is_met(path, info):
            return None
        return path if stat.S_ISDIR(info.st_mode) else self._file(path, name, info)

    def _is_met(self, path: Path, info: os.stat_result) -> bool:
        """Whether a link led here before; without links no place is met twice."""
        if self._seen is None:
            return False
        if stat.S_ISDIR(info.st_mode):
            real = path.resolve()
            met = real in self._folders
            self._folders.add(real)
            return met
        key = (info.st_dev, info.st_ino)
        met = key in self._seen
        self._seen.add(key)
        return met

    def _refuse_link(self, path: Path) -> str | None:
        """Why a symbolic link is not followed, or `None`."""
        if not self._follow:
            return "symbolic link"
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):
            return "broken symbolic link"
        if not target.is_relative_to(self._root):
            return "symbolic link that leaves the folder"
        if target.is_dir() and (target in self._folders or path.parent.resolve().is_relative_to(target)):
            return "symbolic link to a folder that is read already"
        return None

    def _file(self, path: Path, name: str, info: os.stat_result) -> Entry:
        if not stat.S_ISREG(info.st_mode):
            return LeftOut(name, "walk", "not a regular file")
        # The change time moves with every write, also with one that puts the modification time back.
        version = f"{info.st_size}-{info.st_mtime_ns}-{info.st_ctime_ns}"
        return SourceItem(name, printable(str(path)), info.st_size, version, path)


def _key(entry: os.DirEntry[str]) -> str:
    """Folders end with a slash, so that a walk comes to all names in the order of the whole names."""
    try:
        return f"{entry.name}/" if entry.is_dir() else entry.name
    except OSError:  # a link in a circle
        return entry.name
