from __future__ import annotations

import json
import math
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.table import Table

from spice.cli.common import DEFAULT_PRESET, again, emit, load_config
from spice.errors import ConfigError
from spice.settings import presets


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


@pytest.mark.parametrize("preset", presets())
def test_a_printed_command_meets_the_same_store_and_rules_without_the_preset(preset: str) -> None:
    """Approvals are refused under other rules than those that the gate judged by."""
    sets = ["store.endpoint=host:9000", "store.secure=false", "promotion.approvals=2"]
    config = load_config(preset, None, sets, "s3://bucket/a b")
    words = shlex.split(again(config, "anna"))
    options = [words[i : i + 2] for i in range(0, len(words), 2)]
    copied = load_config(
        DEFAULT_PRESET,
        None,
        [value for name, value in options if name == "--set"],
        dict(options)["--store"],
    )
    assert dict(options)["--as"] == "anna"
    assert (copied.store, copied.promotion) == (config.store, config.promotion)
