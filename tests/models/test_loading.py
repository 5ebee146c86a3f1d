"""What is loaded is safe and is what the engines can reproduce; everything else is refused by name."""

from __future__ import annotations

import json
import shutil

import pytest

from spice.errors import ModelError
from spice.models.tokenizer import token_counter

torch = pytest.importorskip("torch")

from spice.models import tiny  # noqa: E402
from spice.models.loading import load_model, load_tokenizer  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A copy of the tiny model to spoil."""
    return shutil.copytree(tiny_folder, tmp_path / "model")


def edit(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(("dtype", "expected"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_a_model_is_loaded_for_evaluation_in_the_number_format_asked_for(tiny_folder, dtype, expected):
    model = load_model(tiny_folder, dtype)
    assert {parameter.dtype for parameter in model.parameters()} == {expected}
    assert not model.training


def test_building_the_tiny_model_twice_gives_the_same_bytes(tiny_folder, tmp_path):
    torch.manual_seed(123)
    before = torch.get_rng_state()
    tiny.build(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (tmp_path / name).read_bytes() == (tiny_folder / name).read_bytes()


def test_pickled_weights_are_not_loaded(folder):
    model = load_model(folder, "float32")
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no \*\.safetensors"):
        load_model(folder, "float32")


def test_code_of_the_folder_is_not_run(folder, tmp_path):
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: ...\nclass Model: ...\n")
    edit(
        folder / "config.json",
        model_type="evil",
        auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"},
    )
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(folder, "float32")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 0, "layer_types": None}, "whole text"),
        ({"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 8}, "whole text"),
        ({"final_logit_softcapping": 30.0}, "caps its logits"),
    ],
)
def test_what_tree_attention_cannot_do_is_refused(folder, changes, fault):
    edit(folder / "config.json", **changes)
    with pytest.raises(ModelError, match=fault):
        load_model(folder, "float32")


def test_a_tokenizer_needs_a_chat_template_and_an_end(folder, tmp_path):
    assert load_tokenizer(folder).eos_token == "<|im_end|>"
    template = folder / "chat_template.jinja"
    template.rename(tmp_path / "template")
    with pytest.raises(ModelError, match="chat template"):
        load_tokenizer(folder)
    (tmp_path / "template").rename(template)
    edit(folder / "tokenizer_config.json", eos_token=None)
    with pytest.raises(ModelError, match="end token"):
        load_tokenizer(folder)


def test_tokens_are_counted_as_the_tokenizer_does(tiny_folder):
    texts = ["", "The capital of the country", "São Tomé\n\n1999", "<|im_end|>"]
    tokenizer = load_tokenizer(tiny_folder)
    assert token_counter(tiny_folder)(texts) == [len(tokenizer.encode(t, add_special_tokens=False)) for t in texts]


def test_counting_needs_a_fast_tokenizer(tmp_path):
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        token_counter(tmp_path)
