from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.config import CorpusConfig, StoreConfig
from spice.corpus.document import Document, printable
from spice.corpus.ingest import count_files
from spice.corpus.parsing import Parser
from spice.corpus.source import LeftOut, SourceItem
from spice.corpus.sources import open_sources
from spice.corpus.sources.lines import split_rows
from spice.errors import CorpusError


def entries(*paths: Path, follow: bool = False) -> list[SourceItem | LeftOut]:
    return list(open_sources(paths, CorpusConfig(follow_symlinks=follow), StoreConfig()).items())


def sources(*paths: Path, follow: bool = False) -> list[str]:
    return [entry.name for entry in entries(*paths, follow=follow) if isinstance(entry, SourceItem)]


def reasons(*paths: Path, follow: bool = False) -> dict[str, str]:
    return {entry.source: entry.reason for entry in entries(*paths, follow=follow) if isinstance(entry, LeftOut)}


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_files_come_in_order_of_their_source(folder: Path) -> None:
    fill(folder, "b.txt", "a/z.txt", "a.txt", "a/b/c.txt", "Z.txt", "a-b/c.txt")
    assert sources(folder) == ["Z.txt", "a-b/c.txt", "a.txt", "a/b/c.txt", "a/z.txt", "b.txt"]
    assert sources(folder / "b.txt") == ["b.txt"]


NAMES = st.text("ab.-/é", min_size=1, max_size=6).map(lambda name: name.strip("/.") or "x")


@given(names=st.sets(NAMES.filter(lambda name: ".." not in name.split("/")), max_size=12))
def test_the_order_is_that_of_the_names(tmp_path_factory: pytest.TempPathFactory, names: set[str]) -> None:
    folder = tmp_path_factory.mktemp("names")
    for name in names:
        path = folder / name
        if not path.exists() and not any(parent.is_file() for parent in path.parents):
            fill(folder, name)
    found = sources(folder) if any(path.is_file() for path in folder.rglob("*")) else []
    assert found == sorted(found)


def test_several_paths_keep_their_names_apart(folder: Path) -> None:
    fill(folder, "one/a.txt", "two/a.txt", "c.txt")
    assert sources(folder / "one", folder / "two", folder / "c.txt") == ["c.txt", "one/a.txt", "two/a.txt"]
    fill(folder, "three/one/a.txt")
    with pytest.raises(CorpusError, match=r"both be called one/a\.txt"):
        sources(folder / "one", folder / "three/one")


def test_a_file_given_twice_is_read_once(folder: Path) -> None:
    fill(folder, "in/a.txt", "in/deep/b.txt")
    assert len(sources(folder / "in", folder / "in/deep", folder / "in/a.txt", folder / "in")) == 2


def test_hidden_entries_are_passed_over_unless_they_are_named(folder: Path) -> None:
    fill(folder, "a.txt", ".b.txt", ".git/config")
    assert sources(folder) == ["a.txt"]
    assert reasons(folder) == {".b.txt": "hidden", ".git": "hidden"}
    assert len(sources(folder, folder / ".git")) == 2


@pytest.mark.parametrize("follow", [False, True])
def test_links_never_loop_or_leave_the_folder(folder: Path, tmp_path: Path, follow: bool) -> None:
    fill(folder, "sub/a.txt", "sub/deep/b.txt")
    fill(tmp_path, "outside/secret.txt")
    links = {
        "loop": folder,
        "sub/up": folder / "sub",
        "sub/deep/root": folder,
        "again": folder / "sub",
        "out": tmp_path / "outside",
        "secret.txt": tmp_path / "outside/secret.txt",
        "self": folder / "self",
        "broken": folder / "nowhere",
        "b.txt": folder / "sub/deep/b.txt",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    found = sources(folder, follow=follow)
    assert len(found) == 2  # each text once, under whichever name
    assert not any("secret" in name for name in found)
    why = reasons(folder, follow=follow)
    if follow:
        assert why["out"] == why["secret.txt"] == "symbolic link that leaves the folder"
        assert why["loop"] == "symbolic link to a folder that is read already"
        assert why["broken"] == why["self"] == "broken symbolic link"
    else:
        assert set(why) == set(links)
        assert set(why.values()) == {"symbolic link"}


def test_a_given_link_is_followed(folder: Path, tmp_path: Path) -> None:
    fill(folder, "a.txt")
    (tmp_path / "link").symlink_to(folder)
    assert sources(tmp_path / "link") == ["a.txt"]


def test_special_files_and_odd_names(folder: Path) -> None:
    fill(folder, "a.txt")
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    assert sources(folder) == ["a.txt", "caf\ufffdE9.txt"]
    assert reasons(folder) == {"pipe": "not a regular file"}


@given(names=st.sets(st.binary(min_size=1, max_size=4), min_size=1, max_size=8))
def test_every_name_is_shown_and_no_two_alike(names: set[bytes]) -> None:
    shown = [printable(os.fsdecode(name)) for name in names]
    assert len(set(shown)) == len(names)
    assert all(one.isprintable() for one in shown)


def test_names_that_cannot_be_shown_are_told_apart(folder: Path) -> None:
    for name in (b"a\xe9.txt", b"a\xe8.txt", b"a\n.txt", b"a\r.txt", "a\ufffd.txt".encode()):
        (folder / os.fsdecode(name)).write_text("x")
    assert len(set(sources(folder))) == 5


@pytest.mark.parametrize("depth", [400, 1500])
def test_very_deep_folders(folder: Path, depth: int) -> None:
    made = [folder]
    for _ in range(depth):
        made.append(made[-1] / "d")
        made[-1].mkdir()
    (made[-1] / "a.txt").write_text("x")
    try:
        assert sources(folder) == ["d/" * depth + "a.txt"]
        assert count_files(folder) == 1
    finally:  # a later run of pytest removes old folders, by a function that calls itself
        (made[-1] / "a.txt").unlink()
        for deep in reversed(made[1:]):
            deep.rmdir()


@pytest.mark.parametrize("name", ["nowhere", "ftp://host/folder"])
def test_what_does_not_exist_is_an_error(folder: Path, name: str) -> None:
    with pytest.raises(CorpusError, match=r"does not exist|cannot be read: expected"):
        open_sources([name if "://" in name else folder / name], CorpusConfig(), StoreConfig())


def test_a_folder_without_files_gives_no_item(folder: Path) -> None:
    fill(folder, ".hidden")
    assert sources(folder) == []


def test_a_walk_reads_no_further_than_it_is_asked(folder: Path) -> None:
    fill(folder, "a/1.txt", "b/2.txt")
    items = iter(open_sources([folder], CorpusConfig(), StoreConfig()).items())
    first = next(items)
    assert isinstance(first, SourceItem)
    fill(folder, "b/3.txt")  # after the walk began, before it came there
    assert [entry.name for entry in items if isinstance(entry, SourceItem)] == ["b/2.txt", "b/3.txt"]


def test_the_version_moves_with_the_bytes_even_when_times_are_put_back(folder: Path) -> None:
    fill(folder, "a.txt")
    (before,) = entries(folder)
    assert before == entries(folder)[0]
    times = (folder / "a.txt").stat()
    (folder / "a.txt").write_text("A.txt")
    os.utime(folder / "a.txt", ns=(times.st_atime_ns, times.st_mtime_ns))
    (after,) = entries(folder)
    assert isinstance(before, SourceItem)
    assert isinstance(after, SourceItem)
    assert after.version != before.version


@given(
    rows=st.lists(st.binary(max_size=9).map(lambda row: row.replace(b"\n", b"")), max_size=30),
    end=st.booleans(),
    part=st.integers(1, 20),
)
def test_parts_of_a_long_file_are_whole_rows_and_all_of_it(
    tmp_path_factory: pytest.TempPathFactory, rows: list[bytes], end: bool, part: int
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    data = b"\n".join(rows) + (b"\n" if end else b"")
    path.write_bytes(data)
    found = list(split_rows(SourceItem("a.jsonl", "a.jsonl", len(data), "v", path), part))
    cut = [data[one.start : one.end] for one in found]
    assert b"".join(cut) == data
    assert all(len(piece) >= part and piece.endswith(b"\n") for piece in cut[:-1])
    assert [one.first_row for one in found] == [1 + data[: one.start].count(b"\n") for one in found]
    path.write_bytes(data + b"more\n")
    grown = list(split_rows(SourceItem("a.jsonl", "a.jsonl", len(data) + 5, "w", path), part))
    same = [(one.start, one.end) for one in found[:-1]]
    assert [(one.start, one.end) for one in grown][: len(same)] == same


def test_long_files_of_rows_are_parsed_in_parts(folder: Path) -> None:

    (folder / "a.jsonl").write_text("".join(f'{{"text": "row {n}"}}\n' for n in range(1, 401)))
    config = CorpusConfig.model_validate({"sources": {"rows_bytes": 1024}})
    items = [one for one in open_sources([folder], config, StoreConfig()).items() if isinstance(one, SourceItem)]
    assert len(items) > 4
    assert len({(one.name, one.start) for one in items}) == len(items)
    with Parser(config) as parser:
        documents = [one for _, one in parser.parse_batch(items) if isinstance(one, Document)]
    assert [one.text for one in documents] == [f"row {n}" for n in range(1, 401)]
    assert [one.positions.locate("", [(0, 1)])[0] for one in documents] == [(n, n) for n in range(1, 401)]
