"""The program that a reading process runs: `python -m spice.corpus.worker`, see `spice.corpus.workers`.

The first line that it reads holds the settings, every other one a batch; for
each batch it prints one line. It ends when its input does, so it never
outlives the ingest that started it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from spice.config import CorpusConfig
from spice.corpus.parsing import Parser
from spice.corpus.reading import Reader
from spice.corpus.source import SourceItem
from spice.errors import SpiceError
from spice.models.tokenizer import token_counter


def main() -> None:
    """Serve batches until the input ends."""
    # Answers go to a descriptor of their own: no library can print among them.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    settings = json.loads(sys.stdin.readline())
    config = CorpusConfig.model_validate(settings["config"])
    erased = frozenset(bytes.fromhex(one) for one in settings["erased"])
    admitted = frozenset(bytes.fromhex(one) for one in settings["admitted"])
    count_tokens = token_counter(Path(settings["tokenizer"]))
    with Parser(config) as parser:
        reader = Reader(parser, config, erased, count_tokens, admitted)
        for line in sys.stdin:
            batch = json.loads(line)
            items = [SourceItem.from_json(item) for item in batch["items"]]
            problem = ""
            try:
                reader.read(items, Path(batch["folder"]))
            except (SpiceError, OSError) as error:
                problem = str(error)
            print(json.dumps({"problem": problem}), file=answers, flush=True)


if __name__ == "__main__":
    main()
