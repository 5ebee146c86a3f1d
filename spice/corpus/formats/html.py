"""HTML pages: the main content, without navigation, scripts and what is hidden.

trafilatura looks for the main content. It tells navigation from text by many
rules that a short or unusual page breaks, so a page in which it finds little
is read whole, without the elements that are never content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from spice.config import CorpusConfig
from spice.corpus.decode import decode_html
from spice.corpus.document import Document, Whole
from spice.corpus.formats.maincontent import main_content

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
_MAY_BE_HIDDEN = "[hidden], [aria-hidden=true], [style]"
_LEAST_SHARE = 0.3
_CELL = "\x1f"  # the unit separator of ASCII


def read_html(data: bytes, config: CorpusConfig) -> Iterator[Document]:
    """One document. Its positions are those of the whole page: the parsers do not keep offsets."""
    decoded = decode_html(data)
    tree = _parsed(decoded.text)
    title = tree.css_first("title")
    text = (config.parsing.main_content and _main_content(tree)) or _whole_text(tree)
    yield Document(title.text().strip()[:200] if title else "", text, Whole("byte", 0, len(data)), decoded.notes)


def visible_text(markup: str) -> str:
    """All text of a page or fragment that a reader sees: for chapters and mail, which are content throughout."""
    return _whole_text(_parsed(markup))


def _parsed(markup: str) -> Any:
    from selectolax.lexbor import LexborHTMLParser

    return LexborHTMLParser(markup.encode("utf-8", "replace").decode("utf-8"))


def _main_content(tree: Any) -> str:
    """What trafilatura finds once all that is hidden from readers is gone, so that it cannot take that for content."""
    for node in tree.css(_MAY_BE_HIDDEN):
        if node.parent is not None and node.tag not in {"html", "body"} and _hidden(node):
            node.decompose()
    return main_content(tree.html or "", len(tree.body.text())) if tree.body else ""


def _whole_text(tree: Any) -> str:
    if not tree.body:
        return ""
    everything = _text(tree.body)
    main = max((_text(node) for node in tree.css("main, article, [role=main]")), key=len, default="")
    return main if len(main) >= len(everything) * _LEAST_SHARE else everything


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
