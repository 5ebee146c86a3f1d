"""Which files to read: a walk that is the same everywhere and cannot run away."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spice.config import CorpusConfig
from spice.corpus.source import LeftOut
from spice.errors import CorpusError


@dataclass(frozen=True)
class Found:
    """A file to read and its name in the corpus, a relative POSIX path."""

    path: Path
    source: str
    size: int


@dataclass
class Walk:
    """The files of all given paths in order of their source, and what was passed over."""

    files: list[Found] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def walk(paths: Sequence[Path], config: CorpusConfig) -> Walk:
    """Find the files under `paths`.

    Sources are relative to the given folder; with several paths each source
    begins with the name of its path. Hidden entries are passed over, symbolic
    links too unless `config.follow_symlinks`, and then they must stay inside.

    Raises:
        CorpusError: a path does not exist, there is nothing to read, or two
            files would have the same source.
    """
    result = Walk()
    seen: dict[Path, str] = {}
    for given in paths:
        if not given.exists():
            raise CorpusError(f"{given} does not exist. Name a folder or a file with documents.")
        prefix = f"{given.resolve().name}/" if len(paths) > 1 and given.is_dir() else ""
        for found in _under(given, prefix, config, result.left_out):
            real = found.path.resolve()
            if real not in seen:  # the same file, by another of the given paths or links
                seen[real] = found.source
                result.files.append(found)
    result.files.sort(key=lambda found: found.source)
    result.left_out.sort(key=lambda item: item.source)
    for before, after in zip(result.files, result.files[1:], strict=False):
        if before.source == after.source:
            raise CorpusError(
                f"{before.path} and {after.path} would both be called {after.source}. Name their common folder instead."
            )
    if not result.files:
        names = ", ".join(map(str, paths)) or "the given paths"
        passed = (
            f" ({len(result.left_out)} entries were passed over: hidden, links or special)" if result.left_out else ""
        )
        raise CorpusError(f"There is no file to read in {names}{passed}.")
    return result


def _under(given: Path, prefix: str, config: CorpusConfig, left_out: list[LeftOut]) -> Iterator[Found]:
    """Files of one path. The stack instead of recursion stands any depth; links are checked against the root."""
    if not given.is_dir():
        yield from _file(given, printable(given.name), given.stat(), left_out)
        return
    root = given.resolve()
    visited = {root}
    stack = [(given, prefix)]
    while stack:
        folder, at = stack.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            left_out.append(LeftOut(at, "read", "folder cannot be listed", error.strerror or ""))
            continue
        for entry in entries:
            path, source = Path(entry.path), at + printable(entry.name)
            if entry.name.startswith("."):
                left_out.append(LeftOut(source, "walk", "hidden"))
                continue
            if entry.is_symlink() and (reason := _refuse_link(path, root, visited, config)):
                left_out.append(LeftOut(source, "walk", reason))
                continue
            try:
                info = entry.stat()
            except OSError as error:  # gone since the listing
                left_out.append(LeftOut(source, "read", "cannot be opened", error.strerror or ""))
                continue
            if stat.S_ISDIR(info.st_mode):
                visited.add(path.resolve())
                stack.append((path, f"{source}/"))
            else:
                yield from _file(path, source, info, left_out)


def _refuse_link(path: Path, root: Path, visited: set[Path], config: CorpusConfig) -> str | None:
    """Why a symbolic link is not followed, or `None`."""
    if not config.follow_symlinks:
        return "symbolic link"
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return "broken symbolic link"
    if not target.is_relative_to(root):
        return "symbolic link that leaves the folder"
    if target.is_dir() and (target in visited or path.parent.resolve().is_relative_to(target)):
        return "symbolic link to a folder that is read already"
    return None


def _file(path: Path, source: str, info: os.stat_result, left_out: list[LeftOut]) -> Iterator[Found]:
    if stat.S_ISREG(info.st_mode):
        yield Found(path, source, info.st_size)
    else:
        left_out.append(LeftOut(source, "walk", "not a regular file"))


def printable(name: str) -> str:
    """A file name that can be stored and shown: what is not UTF-8, or would move a cursor, becomes U+FFFD."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
