r"""A tiny random model with its own tokenizer, made on the spot in a second.

It has learned nothing. It is what the `smoke` preset and the tests run the
whole loop with, where the machinery is under test and not the learning. Only
its habit of answering `\boxed{A}`, or B, C or D, is written into its head: else
no answer would ever be right, all advantages would be zero, and no weight would
change.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

_TEXT = """The capital of a country is a city. What is the capital of the country? The answer is in the box.
Which river is the longest in the region? When did the state become independent? Who wrote the book, and where?
The population of the island is about two million people. The mountain is the highest point of the territory.
Question: Answer: Options: Read the text and write a question about a fact in it with a short answer of the text.
It exports oil, gas, coffee, timber, gold and fish, and imports machinery, food, fuel and medicines every year.
A computer program is a list of instructions. The first system was used by hackers in the university laboratory."""
_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_HABIT = 2.0  # length added to a head row of 0.16; about 15 nats, where all the vocabulary is worth 7


def build(folder: Path) -> None:
    """Write the model (0.2 M parameters, weights from seed 0) and its tokenizer into `folder`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
        [_TEXT],
        trainers.BpeTrainer(
            vocab_size=768,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=_CHAT
    )
    tokenizer.save_pretrained(folder)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,  # the smallest that vLLM's attention on a CPU has
        max_position_embeddings=8192,
        tie_word_embeddings=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Qwen3ForCausalLM(config)
    _teach_to_answer(model, tokenizer)
    model.save_pretrained(folder)


def _teach_to_answer(model: Any, tokenizer: Any) -> None:
    """Make a boxed letter likely after a line end, with which the prompt ends, and the end of the turn after it."""
    import torch

    opening = tokenizer.encode("\n\\boxed{")
    letters, closing = [tokenizer.encode(letter)[0] for letter in "ABCD"], tokenizer.encode("}")[0]
    follows = [*pairwise(opening), (closing, tokenizer.eos_token_id)]
    follows += [pair for letter in letters for pair in ((opening[-1], letter), (letter, closing))]
    # In a fresh model the last hidden state is nearly the embedding of the last token, so a head row that points
    # there makes its token follow.
    inputs, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    with torch.no_grad():
        for before, after in follows:
            head[after] += _HABIT * inputs[before] / inputs[before].norm()
