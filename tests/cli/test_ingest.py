"""`spice ingest` with a stage that ingests for real, counting words."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import spice
from spice import cli
from spice.config import Config
from spice.corpus.ingest import IngestReport
from spice.corpus.ingest import ingest as ingest_documents
from spice.store import open_store


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def stage(
        documents: Sequence[str], name: str, config: Config, *, strict: bool, verify: bool, progress: Any
    ) -> IngestReport:
        paths = [Path(document) for document in documents]
        store = open_store(config.store)
        return ingest_documents(
            paths, name, store, config.corpus, "words", lambda t: [len(x.split()) for x in t], strict, progress
        )

    fake = types.ModuleType("spice.stages")
    fake.ingest = stage  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "spice.stages", fake)
    monkeypatch.setattr(spice, "stages", fake, raising=False)

    def command(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            cli.main(["ingest", *args, "--store", str(tmp_path / "store")])
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return command


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "My Docs"
    folder.mkdir()
    for i in range(30):
        (folder / f"{i}.txt").write_text(" ".join(f"word{i}x{j}" for j in range(60)))
    (folder / "odd\x1b[2J.txt").touch()
    return folder


def test_people_see_counts_skipped_files_and_what_to_do_next(command: Callable[..., Any], documents: Path) -> None:
    code, out, err = command(str(documents))
    assert code == 0
    assert "datasets/my-docs/" in out
    assert "spice train datasets/my-docs/" in out
    assert "odd\ufffd1B[2J.txt: empty file" in out
    assert "\x1b" not in out + err


def test_machines_get_the_report(command: Callable[..., Any], documents: Path) -> None:
    code, out, err = command(str(documents), "--json", "--name", "docs", "--set", "corpus.held_out_share=0.5")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert report["ref"].startswith("datasets/docs/")
    assert report["counts"]["files_read"] == 30
    assert report["counts"]["documents_held_out"] > 5
    assert report["skipped"] == [["odd\ufffd1B[2J.txt", "empty file"]]


def test_strict_fails_and_names_the_file(command: Callable[..., Any], documents: Path) -> None:
    code, out, err = command(str(documents), "--strict")
    assert (code, out) == (1, "")
    assert "cannot be read: empty file" in err


def test_no_such_folder_is_a_failure_that_says_so(command: Callable[..., Any], tmp_path: Path) -> None:
    code, _, err = command(str(tmp_path / "nowhere"))
    assert code == 1
    assert "does not exist" in err
