from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from spice.config import CorpusConfig, StoreConfig
from spice.corpus.document import Document
from spice.corpus.ingest import IngestReport, ingest
from spice.corpus.parsing import Parser
from spice.corpus.source import LeftOut, SourceItem
from spice.store import ObjectStore, open_store


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(StoreConfig(url=str(tmp_path / "store")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "documents"
    path.mkdir()
    return path


@pytest.fixture
def run(store: ObjectStore, folder: Path) -> Callable[..., IngestReport]:
    """Ingest `folder` with small limits; keyword arguments change the configuration."""

    def run(*paths: Path, strict: bool = False, **changes: Any) -> IngestReport:
        settings = {"segment_tokens": 40, "min_segment_tokens": 3, "held_out_share": 0.0, **changes}
        config = CorpusConfig(**settings)
        return ingest(paths or [folder], "test", store, config, "words", count_words, strict=strict)

    return run


@pytest.fixture(scope="session")
def parsers() -> Iterator[Callable[..., Parser]]:
    """One parser per configuration, because its process takes a moment to start."""
    started: dict[str, Parser] = {}

    def parser(**changes: Any) -> Parser:
        config = CorpusConfig(**changes)
        return started.setdefault(config.model_dump_json(), Parser(config))

    yield parser
    for one in started.values():
        one.close()


@pytest.fixture
def results(tmp_path: Path, parsers: Callable[..., Parser]) -> Callable[..., list[Document | LeftOut]]:
    """All that parsing a file gives; keyword arguments change the configuration."""

    def results(name: str, data: bytes, **changes: Any) -> list[Document | LeftOut]:
        path = tmp_path / name
        path.write_bytes(data)
        item = SourceItem(name, str(path), len(data), None, path)
        return [result for _, result in parsers(**changes).parse_batch([item])]

    return results


@pytest.fixture
def parse(results: Callable[..., list[Document | LeftOut]]) -> Callable[..., list[Document]]:
    """The documents of a file of which nothing is left out."""

    def parse(name: str, data: bytes, **changes: Any) -> list[Document]:
        found = results(name, data, **changes)
        documents = [one for one in found if isinstance(one, Document)]
        assert len(documents) == len(found), found
        return documents

    return parse


def prose(topic: str, sentences: int = 6) -> str:
    """Distinct sentences; two topics share no five words in a row."""
    return " ".join(
        f"{topic} fact {i} says that {topic} has {i * 7} {topic} things in {topic}." for i in range(sentences)
    )


@pytest.fixture(name="prose")
def prose_fixture() -> Callable[..., str]:
    return prose


def make_pdf(pages: Sequence[str], encrypt: str | None = None, title: str = "") -> bytes:
    """A PDF with one line of text per line of each page; an empty page has no text layer."""
    from io import BytesIO

    from pypdf import PdfWriter
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in pages:
        page = writer.add_blank_page(612, 792)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
        stream = DecodedStreamObject()
        shown = " ".join(f"({line}) Tj T*" for line in text.splitlines())
        stream.set_data(f"BT /F1 12 Tf 14 TL 50 700 Td {shown} ET".encode() if text else b"")
        page[NameObject("/Contents")] = writer._add_object(stream)
    if title:
        writer.add_metadata({"/Title": title})
    if encrypt:
        writer.encrypt(encrypt, algorithm="RC4-128")
    data = BytesIO()
    writer.write(data)
    return data.getvalue()


@pytest.fixture(name="make_pdf")
def make_pdf_fixture() -> Callable[..., bytes]:
    return make_pdf
