"""Warm starts: where they come from, and that they do not depend on the machine's leisure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spice.arena import warmstarts, warmup
from spice.arena.world import LADDER

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPICE_CACHE", str(tmp_path))
    return tmp_path


def test_those_of_the_ladder_ship_with_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("it was trained")

    monkeypatch.setattr(warmup, "build", fail)
    monkeypatch.setattr(warmup, "build_strong", fail)
    folders = [warmstarts.ensure(LADDER, seed) for seed in range(warmstarts.COUNT)]
    weights = [folder / "model.safetensors" for folder in [*folders, warmstarts.ensure_strong(LADDER)]]
    assert len({path.read_bytes() for path in weights}) == warmstarts.COUNT + 1
    assert warmstarts.ensure(LADDER, warmstarts.COUNT) == folders[0]


def test_anew_replaces_what_is_there_when_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(folder: Path, *_: object, **__: object) -> None:
        assert (was / "config.json").is_file()  # until the new one is whole
        (folder / "config.json").write_text("new")

    was = warmstarts.ensure_strong(LADDER)
    monkeypatch.setattr(warmup, "build_strong", build)
    assert warmstarts.ensure_strong(LADDER) == was
    assert (was / "config.json").read_text() != "new"
    assert warmstarts.ensure_strong(LADDER, anew=True) == was
    assert [path.name for path in was.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    "build", [lambda folder: warmup.build(folder, LADDER, 1, 2), lambda folder: warmup.build_strong(folder, LADDER, 2)]
)
def test_the_number_of_threads_changes_nothing(tmp_path: Path, build: Callable[[Path], None]) -> None:
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            build(tmp_path / str(threads))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    one, two = (tmp_path / str(threads) / "model.safetensors" for threads in (1, 2))
    assert one.read_bytes() == two.read_bytes()
