from __future__ import annotations

import json
from pathlib import Path

import pytest

from spice.config import CorpusConfig, StoreConfig
from spice.corpus.document import Document
from spice.corpus.parsing import Parser
from spice.corpus.source import SourceItem, fetch
from spice.corpus.sources import open_sources
from spice.errors import CorpusError

pytest.importorskip("datasets", reason="THE HUB EXTRA IS NOT INSTALLED: data sets are not tested")


def test_rows_are_streamed_from_a_folder_in_the_layout_of_the_hub(tmp_path: Path) -> None:
    data = tmp_path / "set" / "data"
    data.mkdir(parents=True)
    for split, rows in (("train", ["one", "two"]), ("test", ["three"])):
        lines = (json.dumps({"body": text, "title": text.upper(), "n": 1}) for text in rows)
        (data / f"{split}-00000.jsonl").write_text("\n".join(lines))
    config = CorpusConfig()
    address = f"hf://{tmp_path}/set/train?text=body"
    items = list(open_sources([address], config, StoreConfig()).items())
    assert [one.name for one in items if isinstance(one, SourceItem)] == [f"hf://{tmp_path}/set/train/000000.jsonl"]
    with Parser(config) as parser:
        local = [fetch(one, tmp_path, 10_000) for one in items if isinstance(one, SourceItem)]
        documents = [one for _, one in parser.parse_batch(local) if isinstance(one, Document)]
    assert [(one.title, one.text) for one in documents] == [("ONE", "one"), ("TWO", "two")]
    with pytest.raises(CorpusError, match=r"no column 'text': it has body, title, n"):
        list(open_sources([f"hf://{tmp_path}/set/train"], config, StoreConfig()).items())


@pytest.mark.parametrize("address", ["hf://owner", "hf://owner/name/train?column=x"])
def test_addresses_that_are_not_understood(address: str) -> None:
    with pytest.raises(CorpusError, match=r"is not understood|asks for column"):
        open_sources([address], CorpusConfig(), StoreConfig())
