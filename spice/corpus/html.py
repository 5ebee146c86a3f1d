"""HTML pages: the main content, without navigation, scripts and what is hidden."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from spice.config import CorpusConfig
from spice.corpus.decode import decode_html
from spice.corpus.document import Document, Whole

_DROPPED = frozenset(
    "script style noscript template nav header footer aside form button select textarea svg iframe object canvas"
    " video audio head dialog menu".split()
)
_BLOCKS = frozenset(
    "address article blockquote body center dd details div dl dt fieldset figcaption figure h1 h2 h3 h4 h5 h6 hr li"
    " main ol p pre section summary table tbody td th thead tr ul".split()
)
_LINES = frozenset("br li tr dt dd".split())
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])", re.IGNORECASE)
_LEAST_SHARE = 0.3
_CELL = "\x1f"  # the unit separator of ASCII


def read_html(data: bytes, _config: CorpusConfig) -> Iterator[Document]:
    """One document. Its positions are those of the whole page: the parser does not keep offsets."""
    from selectolax.lexbor import LexborHTMLParser

    decoded = decode_html(data)
    tree = LexborHTMLParser(decoded.text.encode("utf-8", "replace").decode("utf-8"))
    title = tree.css_first("title")
    everything = _text(tree.body) if tree.body else ""
    main = max((_text(node) for node in tree.css("main, article, [role=main]")), key=len, default="")
    text = main if len(main) >= len(everything) * _LEAST_SHARE else everything
    yield Document(title.text().strip()[:200] if title else "", text, Whole("byte", 0, len(data)), decoded.notes)


def _text(root: Any) -> str:
    """Visible text, blocks apart by blank lines. Walks with a stack: pages may nest deeper than Python may recurse."""
    parts: list[str] = []
    stack: list[tuple[Any, bool]] = [(root, False)]
    preformatted = 0
    while stack:
        node, leaving = stack.pop()
        tag = node.tag
        if leaving:
            preformatted -= tag == "pre"
            parts.append(_separator(tag))
            continue
        if tag == "-text":
            content = node.text_content or ""
            parts.append(content if preformatted else _collapsed(content))
            continue
        if tag in _DROPPED or tag.startswith("-") or _hidden(node):
            continue
        preformatted += tag == "pre"
        parts.append(_separator(tag))
        if tag in _BLOCKS:
            stack.append((node, True))
        children = []
        child = node.first_child
        while child is not None:
            children.append((child, False))
            child = child.next
        stack.extend(reversed(children))
    return _tidy("".join(parts))


def _separator(tag: str) -> str:
    if tag in {"td", "th"}:
        return _CELL
    if tag in _LINES:
        return "\n"
    return "\n\n" if tag in _BLOCKS else ""


def _hidden(node: Any) -> bool:
    attributes = node.attributes
    if not attributes:
        return False
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or bool(_HIDDEN.search(attributes.get("style") or ""))
    )


def _collapsed(content: str) -> str:
    """White space as a browser shows it: runs are one blank, also at the ends, where a neighbour may follow."""
    words = " ".join(content.split())
    if not words:
        return " " if content else ""
    return f"{' ' if content[0].isspace() else ''}{words}{' ' if content[-1].isspace() else ''}"


def _tidy(text: str) -> str:
    """Cells of a line apart by bars, no blanks around lines except the indentation of preformatted ones."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(map(_line, text.split("\n")))).strip()


def _line(line: str) -> str:
    if _CELL in line:
        return " | ".join(filter(None, map(str.strip, line.split(_CELL))))
    return line.rstrip() if line.startswith("  ") else line.strip(" ")
