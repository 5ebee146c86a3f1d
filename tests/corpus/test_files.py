from __future__ import annotations

import os
from pathlib import Path

import pytest

from spice.config import CorpusConfig
from spice.corpus.files import walk
from spice.errors import CorpusError


def sources(*paths: Path, follow: bool = False) -> list[str]:
    return [found.source for found in walk(paths, CorpusConfig(follow_symlinks=follow)).files]


def reasons(*paths: Path, follow: bool = False) -> dict[str, str]:
    return {item.source: item.reason for item in walk(paths, CorpusConfig(follow_symlinks=follow)).left_out}


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_files_come_in_order_of_their_source(folder: Path) -> None:
    fill(folder, "b.txt", "a/z.txt", "a.txt", "a/b/c.txt", "Z.txt")
    assert sources(folder) == ["Z.txt", "a.txt", "a/b/c.txt", "a/z.txt", "b.txt"]
    assert sources(folder / "b.txt") == ["b.txt"]


def test_several_paths_keep_their_names_apart(folder: Path) -> None:
    fill(folder, "one/a.txt", "two/a.txt", "c.txt")
    assert sources(folder / "one", folder / "two", folder / "c.txt") == ["c.txt", "one/a.txt", "two/a.txt"]
    fill(folder, "three/one/a.txt")
    with pytest.raises(CorpusError, match=r"both be called one/a\.txt"):
        sources(folder / "one", folder / "three/one")


def test_a_file_given_twice_is_read_once(folder: Path) -> None:
    fill(folder, "in/a.txt", "in/deep/b.txt")
    assert len(sources(folder / "in", folder / "in/deep", folder / "in/a.txt")) == 2


def test_hidden_entries_are_passed_over(folder: Path) -> None:
    fill(folder, "a.txt", ".b.txt", ".git/config")
    assert sources(folder) == ["a.txt"]
    assert reasons(folder) == {".b.txt": "hidden", ".git": "hidden"}


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
    found = walk([folder], CorpusConfig(follow_symlinks=follow))
    assert len(found.files) == 2  # each text once, under whichever name
    assert not any("secret" in file.source for file in found.files)
    why = {item.source: item.reason for item in found.left_out}
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
    assert sources(folder) == ["a.txt", "caf\ufffd.txt"]
    assert reasons(folder) == {"pipe": "not a regular file"}


def test_very_deep_folders(folder: Path) -> None:
    deep = folder
    for _ in range(400):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "a.txt").write_text("x")
    assert sources(folder) == ["d/" * 400 + "a.txt"]


def test_missing_path_and_empty_folder_are_errors(folder: Path) -> None:
    with pytest.raises(CorpusError, match="does not exist"):
        sources(folder / "nowhere")
    with pytest.raises(CorpusError, match="no file to read"):
        sources(folder)
    fill(folder, ".hidden")
    with pytest.raises(CorpusError, match="1 entries were passed over"):
        sources(folder)
