from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spice.config import EvaluationConfig
from spice.errors import ConfigError
from spice.evaluation import suites


def config(**fields: Any) -> EvaluationConfig:
    return EvaluationConfig(**{"cloze_items": 8, "reasoning_items": 0, **fields})


def write(path: Path) -> str:
    path.write_text(json.dumps({"id": "1", "question": "Which colour is the sky?", "answer": "blue"}))
    return str(path)


def test_cloze_comes_strict_and_forced_with_the_same_items(atlas: list[Any]) -> None:
    strict, forced = suites.build(config(), atlas)
    assert (strict.name, strict.forced, forced.name, forced.forced) == ("cloze", False, "cloze_forced", True)
    assert strict.items == forced.items
    assert len(strict.items) == 8
    assert set(suites.unique_items([strict, forced])) == {"cloze"}


def test_user_suites_follow(atlas: list[Any], tmp_path: Path) -> None:
    built = suites.build(config(suites=(write(tmp_path / "sky.jsonl"),)), atlas)
    assert [suite.name for suite in built] == ["cloze", "cloze_forced", "sky"]


def test_side_effects_are_suites_where_they_are_asked_for(atlas: list[Any], tmp_path: Path) -> None:
    built = suites.build(config(bias="built-in", compliance="built-in", suites=(write(tmp_path / "sky.jsonl"),)), atlas)
    names = ["cloze", "cloze_forced", "bias", "compliance_refuse", "compliance_answer", "sky"]
    assert [suite.name for suite in built] == names


def test_a_name_cannot_be_used_twice(atlas: list[Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two suites are called 'cloze'"):
        suites.build(config(suites=(write(tmp_path / "cloze.jsonl"),)), atlas)


def test_suites_without_items_are_left_out() -> None:
    assert suites.build(config(), []) == []


def test_sentences_that_training_sees_make_no_items(atlas: list[Any]) -> None:
    everything = suites.build(config(cloze_items=100), atlas)[0]
    seen = [segment for segment in atlas if segment.document_id in {"Algeria", "Brazil"}]
    built = suites.build(config(cloze_items=100), atlas, training=seen)[0]
    dropped = {item.source_text for item in everything.items} - {item.source_text for item in built.items}
    assert "The capital of Algeria is Algiers, a city of 500,000 people." in dropped
    assert all("Algeria" in text or "Brazil" in text for text in dropped)


def test_as_many_items_as_were_asked_for_are_left_after_dropping(atlas: list[Any]) -> None:
    assert len(suites.build(config(), atlas, training=atlas[:4])[0].items) == 8


def test_evaluation_needs_neither_the_loop_nor_the_learner_nor_torch() -> None:
    code = (
        "import sys, importlib, pkgutil, spice.evaluation as e\n"
        "for m in pkgutil.iter_modules(e.__path__): importlib.import_module(f'spice.evaluation.{m.name}')\n"
        "bad = [m for m in sys.modules if m.startswith(('spice.training', 'spice.learner', 'torch', 'transformers'))]\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
