"""lm-evaluation-harness on our engine and the tiny model, with a task made here: no hub is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spice.errors import ConfigError

pytest.importorskip("lm_eval", reason="NO HARNESS: install the harness extra")
pytest.importorskip("torch")

import torch
from transformers import AutoModelForCausalLM

from spice.config import ModelConfig
from spice.evaluation import harness
from spice.models.loading import load_model, load_tokenizer
from spice.models.scoring import log_likelihoods
from spice.rollout.transformers_engine import TransformersEngine

pytestmark = pytest.mark.torch

CHOICE = """
task: own_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}\\nAnswer:"
doc_to_choice: "{{{{options}}}}"
doc_to_target: "{{{{gold}}}}"
metric_list: [{{metric: acc}}]
"""
GENERATE = """
task: own_words
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
generation_kwargs: {{until: ["\\n"], max_gen_toks: 8, do_sample: false}}
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{options[gold]}}}}"
metric_list: [{{metric: exact_match}}]
"""


@pytest.fixture(scope="module")
def lm(tiny_folder: Path) -> Any:
    model = load_model(tiny_folder, "float32", ModelConfig().device)
    tokenizer = load_tokenizer(tiny_folder)
    engine = TransformersEngine(model, tokenizer, 4096)
    return harness.as_lm(engine, tokenizer, lambda pairs: log_likelihoods(model, pairs), 512)


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    data = tmp_path / "items.jsonl"
    rows = [{"question": f"Which is {i}?", "options": [f"{i}", f"not {i}"], "gold": 0} for i in range(6)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "choice.yaml").write_text(CHOICE.format(data=data))
    (folder / "words.yaml").write_text(GENERATE.format(data=data))
    return folder


def test_tasks_of_ones_own_run_offline(lm: Any, tasks: Path) -> None:
    found = harness.evaluate(lm, ["own_choice", "own_words"], tasks)
    assert 0.0 <= found["own_choice"]["acc,none"] <= 1.0
    assert "acc_stderr,none" in found["own_choice"]
    assert 0.0 <= found["own_words"]["exact_match,none"] <= 1.0


def test_log_likelihoods_are_those_of_the_model(lm: Any, tiny_folder: Path) -> None:
    from lm_eval.api.instance import Instance

    plain = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    tokenizer = load_tokenizer(tiny_folder)
    context, continuation = "The lake is", " deep and cold"
    ((total, greedy),) = lm.loglikelihood([Instance("loglikelihood", {}, (context, continuation), 0)])
    whole = tokenizer.encode(context + continuation, add_special_tokens=False)
    start = len(tokenizer.encode(context, add_special_tokens=False))
    with torch.inference_mode():
        logprobs = plain(torch.tensor([whole])).logits[0].log_softmax(-1)
    expected = sum(float(logprobs[place - 1, whole[place]]) for place in range(start, len(whole)))
    assert total == pytest.approx(expected, abs=1e-4)
    assert greedy is (all(int(logprobs[p - 1].argmax()) == whole[p] for p in range(start, len(whole))))
    (rolling,) = lm.loglikelihood_rolling([Instance("loglikelihood_rolling", {}, (context,), 0)])
    assert rolling < 0


def test_generation_ends_before_the_stop_string(lm: Any) -> None:
    from lm_eval.api.instance import Instance

    (whole,) = lm.generate_until([Instance("generate_until", {}, ("A", {"max_gen_toks": 12}), 0)])
    stop = whole[len(whole) // 2]
    asked = Instance("generate_until", {}, ("A", {"max_gen_toks": 12, "until": [stop]}), 0)
    assert lm.generate_until([asked]) == [whole.partition(stop)[0]]


def test_an_unknown_task_is_named(lm: Any, tasks: Path) -> None:
    with pytest.raises(ConfigError, match="no task nothing_of_that_name in"):
        harness.evaluate(lm, ["own_choice", "nothing_of_that_name"], tasks)
