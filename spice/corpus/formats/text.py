"""Plain text, Markdown and source code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from spice.config import CorpusConfig
from spice.corpus.decode import Decoded, decode
from spice.corpus.document import Document, EncodedBytes

_HEADING = re.compile(r"^#{1,3}[ \t]+(.{1,200}?)[ \t#]*$", re.MULTILINE)
_FRONT_MATTER = re.compile(r"---\r?\n.{0,20000}?\r?\n---[ \t]*(?:\r?\n|$)", re.DOTALL)


def read_text(data: bytes, config: CorpusConfig) -> Iterator[Document]:
    """One document; the title is the first line if it is short."""
    decoded = decode(data)
    first = decoded.text.lstrip()[:200].split("\n", 1)[0].strip()
    yield _document(first if 0 < len(first) <= 100 else "", decoded, 0, config)


def read_code(data: bytes, config: CorpusConfig) -> Iterator[Document]:
    """One document without a title: the first line of a program is seldom one."""
    yield _document("", decode(data), 0, config)


def read_markdown(data: bytes, config: CorpusConfig) -> Iterator[Document]:
    """One document without its YAML front matter; the title is the first heading."""
    decoded = decode(data)
    front = _FRONT_MATTER.match(decoded.text)
    heading = _HEADING.search(decoded.text[:20000], front.end() if front else 0)
    yield _document(heading[1] if heading else "", decoded, front.end() if front else 0, config)


def _document(title: str, decoded: Decoded, begin: int, config: CorpusConfig) -> Document:
    text = decoded.text[begin:] if begin else decoded.text
    before = EncodedBytes(decoded.encoding, decoded.base).locate(decoded.text, [(0, begin)])[0][1]
    notes = decoded.notes
    if longest_line(text) > config.max_line_chars:
        notes = (*notes, "very long line")
    return Document(title, text, EncodedBytes(decoded.encoding, before), notes)


def longest_line(text: str) -> int:
    """Characters of the longest line."""
    longest = begin = 0
    while (end := text.find("\n", begin)) >= 0:
        longest = max(longest, end - begin)
        begin = end + 1
    return max(longest, len(text) - begin)
