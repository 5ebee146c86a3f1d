"""Count tokens without torch or transformers, for corpora."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from spice.errors import ModelError


def token_counter(folder: Path) -> Callable[[Sequence[str]], list[int]]:
    """Return a function that counts the tokens of each text, after the `tokenizer.json` in `folder`."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ModelError(f"{folder} has no tokenizer.json. Choose a model with a fast tokenizer.")
    core = Tokenizer.from_file(str(file))
    core.no_truncation()  # some files carry settings of their training, which would falsify every count
    core.no_padding()

    def count(texts: Sequence[str]) -> list[int]:
        return [len(encoding.ids) for encoding in core.encode_batch_fast(list(texts), add_special_tokens=False)]

    return count
