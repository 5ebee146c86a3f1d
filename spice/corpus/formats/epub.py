"""EPUB books: the chapters in reading order. The format is a zip archive of XHTML pages with a list of them."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from urllib.parse import unquote

from spice.config import CorpusConfig
from spice.corpus.decode import decode_html
from spice.corpus.document import Document, UnreadableError
from spice.corpus.formats.base import Unread
from spice.corpus.formats.html import visible_text
from spice.corpus.formats.numbered import numbered_document
from spice.corpus.formats.zipped import open_zip, parse_xml

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"


def read_epub(data: bytes, config: CorpusConfig) -> Iterator[Document | Unread]:
    """One document; positions count the entries of the reading order from 1.

    Raises:
        UnreadableError: not a book, or its list of chapters is missing.
    """
    with open_zip(data, "EPUB book", config) as book:
        package = _package_path(book)
        root = parse_xml(_part(book, package))
        folder = posixpath.dirname(package)
        hrefs = {item.get("id"): item.get("href", "") for item in root.iter("{*}item")}
        spine = [hrefs.get(item.get("idref"), "") for item in root.iter("{*}itemref")]
        encrypted = _encrypted(book)
        chapters = []
        for number, href in enumerate(spine, 1):
            path = posixpath.normpath(posixpath.join(folder, unquote(href)))
            chapters.append("")
            if path in encrypted:
                yield Unread("encrypted chapter", f"chapter {number}")
            elif path not in book.namelist():
                yield Unread("missing chapter", f"chapter {number}: {path}"[:200])
            else:
                chapters[-1] = visible_text(decode_html(_part(book, path)).text)
        title = next((" ".join((node.text or "").split()) for node in root.iter("{*}title")), "")
        yield numbered_document(title[:200], chapters, "chapter")


def _package_path(book: zipfile.ZipFile) -> str:
    for node in parse_xml(_part(book, _CONTAINER)).iter("{*}rootfile"):
        if path := node.get("full-path"):
            return posixpath.normpath(str(path))
    raise UnreadableError("damaged EPUB book", f"{_CONTAINER} names no package")


def _encrypted(book: zipfile.ZipFile) -> set[str]:
    if _ENCRYPTION not in book.namelist():
        return set()
    root = parse_xml(_part(book, _ENCRYPTION))
    return {unquote(node.get("URI", "")) for node in root.iter("{*}CipherReference")}


def _part(book: zipfile.ZipFile, path: str) -> bytes:
    try:
        return book.read(path)
    except (KeyError, zipfile.BadZipFile, RuntimeError, OSError) as error:
        raise UnreadableError("damaged EPUB book", str(error)[:200]) from error
