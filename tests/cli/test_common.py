from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.table import Table

from spice.cli.common import emit, load_config
from spice.errors import ConfigError


@dataclass(frozen=True)
class Result:
    ref: str
    folder: Path
    rate: float


def test_machines_get_json_whatever_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    emit(Result("datasets/a", Path("/x"), math.nan), "for people", as_json=True)
    assert json.loads(capsys.readouterr().out) == {"ref": "datasets/a", "folder": "/x", "rate": None}


def test_people_get_text_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    emit({}, "skipped \x1b]52;c;ZXZpbA==\x07 \x9b2J[bold] file\n\tnext", as_json=False)
    assert capsys.readouterr().out == "skipped ]52;c;ZXZpbA== 2J[bold] file\n\tnext\n"


def test_tables_in_a_pipe_do_not_cut_digests(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("ref", "what")
    table.add_row("datasets/factbook/" + "a" * 64, "words " * 8)
    emit({}, table, as_json=False)
    assert "a" * 64 in capsys.readouterr().out


def test_the_store_option_wins_over_the_other_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPICE_STORE__URL", "from-environment")
    assert load_config("smoke", None, None).store.url == "from-environment"
    assert load_config("smoke", None, ["store.url=from-set"], "from-option").store.url == "from-option"


def test_a_bad_setting_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"store\.urk"):
        load_config("smoke", None, ["store.urk=x"])
