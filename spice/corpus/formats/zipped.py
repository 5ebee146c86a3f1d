"""Office documents and books are zip archives of XML: opened within limits, parsed without entities."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

from spice.config import CorpusConfig
from spice.corpus.document import UnreadableError
from spice.corpus.formats.base import missing_extra
from spice.corpus.formats.streams import Budget, ExpansionError

if TYPE_CHECKING:
    from lxml.etree import _Element

_OLE = b"\xd0\xcf\x11\xe0"
_MOST_PARTS = 100_000


def open_zip(data: bytes, what: str, config: CorpusConfig) -> zipfile.ZipFile:
    """The archive, after a look at what it would expand to.

    The standard library gives no more bytes of a part than its directory
    entry says, so the sum of the entries bounds what any reader can get.

    Args:
        data: the whole file.
        what: the kind of document, for the message.
        config: the limits.

    Raises:
        UnreadableError: encrypted, damaged, or it expands too much.
    """
    if data.startswith(_OLE):
        raise UnreadableError(f"encrypted or old {what}", "only the XML formats without a password can be read")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise UnreadableError(f"damaged {what}", str(error)[:200]) from error
    parts = archive.infolist()
    if len(parts) > _MOST_PARTS:
        raise UnreadableError("expands too much", f"{len(parts)} parts")
    try:
        Budget(len(data), config.parsing.expansion).spend(sum(part.file_size for part in parts))
    except ExpansionError as error:  # of this document alone, not of an archive that it may be in
        raise UnreadableError(error.reason, error.detail) from error
    return archive


def parse_xml(data: bytes) -> _Element:
    """The root of a part. Entities stay unresolved and nothing is fetched, so no part can grow by parsing.

    Raises:
        UnreadableError: not XML, or it declares entities.
    """
    try:
        from lxml import etree
    except ImportError as error:
        raise missing_extra("EPUB books", "corpus") from error

    parser: Any = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise UnreadableError("damaged XML", str(error)[:200]) from error
    if root.getroottree().docinfo.internalDTD is not None and list(root.iter(etree.Entity)):
        raise UnreadableError("XML with entities", "they are never resolved")
    return root
