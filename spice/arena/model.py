"""The arena's model: a transformers architecture of a million parameters with one token per symbol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spice.selfplay.ladder import WORDS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

PAD, END, UNKNOWN = "<pad>", "<end>", "<unknown>"
VOCABULARY = (PAD, END, UNKNOWN, *WORDS)
# No sequence is longer than 67 symbols: neighbouring distances must be easy to tell apart.
_ROPE_THETA = 100.0
_CHAT = "{% for m in messages %}{{ m['content'] }} {% endfor %}"


def save_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Write the tokenizer, in which the id of a symbol is its place in `VOCABULARY`."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({word: place for place, word in enumerate(VOCABULARY)}, unk_token=UNKNOWN))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        chat_template=_CHAT,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def new_model(seed: int) -> Qwen3ForCausalLM:
    """A model with random weights of this seed, 1.07 million parameters, ready for tree attention."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from spice.models import attention

    attention.register()
    config = Qwen3Config(
        vocab_size=len(VOCABULARY),
        hidden_size=160,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=40,
        max_position_embeddings=128,
        # With a bias on queries and keys a head can look back by a fixed distance whatever the symbols are.
        attention_bias=True,
        rope_parameters={"rope_type": "default", "rope_theta": _ROPE_THETA},
        tie_word_embeddings=False,
        eos_token_id=VOCABULARY.index(END),
        pad_token_id=VOCABULARY.index(PAD),
        bos_token_id=None,
        attn_implementation="sdpa",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen3ForCausalLM(config)
