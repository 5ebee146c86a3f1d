from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from spice.cli import main
from spice.evaluation.benchmarks import BENCHMARKS


def run(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_the_benchmarks_are_listed_with_their_licence(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(["suites", "list", "--json"], capsys)
    listed = json.loads(out)
    assert code == 0
    assert {each["name"]: each["licence"] for each in listed} == {each.name: each.licence for each in BENCHMARKS}
    _, table, _ = run(["suites", "list"], capsys)
    assert "mean of 32 samples" in table


def test_a_margin_is_planned(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(["suites", "plan", "--margin", "0.05", "--discordant", "0.1"], capsys)
    assert code == 0
    assert out.startswith("248 items show with a chance of 80%")
    _, out, _ = run(
        ["suites", "plan", "--margin", "0.05", "--cluster-size", "5", "--intraclass", "1", "--json"], capsys
    )
    assert json.loads(out)["items"] == 1237


def test_copies_do_not_go_where_training_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "store"
    code, _, err = run(["suites", "fetch", "bbeh", "--to", str(place), "--set", f"store.url={place}"], capsys)
    assert code == 2
    assert "which training can read" in err


def test_an_unknown_benchmark_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(["suites", "fetch", "bbhe", "--to", str(tmp_path)], capsys)
    assert code == 2
    assert "the nearest is 'bbeh'" in err
