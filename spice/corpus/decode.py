"""Bytes to text, whatever the encoding, and back without loss."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from spice.corpus.document import UnreadableError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 65536
_MAGIC = {
    b"%PDF-": "PDF",
    b"PK\x03\x04": "zip archive or office document",
    b"PAR1": "Parquet",
    b"\x1f\x8b": "gzip archive",
    b"\x7fELF": "program",
    b"MZ": "program",
    b"\x89PNG": "image",
    b"\xff\xd8\xff": "image",
    b"GIF8": "image",
    b"SQLite format 3": "database",
    b"\xd0\xcf\x11\xe0": "old office document",
    b"7z\xbc\xaf": "7z archive",
    b"BZh": "bzip2 archive",
    b"\xfd7zXZ": "xz archive",
}
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([a-z0-9_.:-]{1,40})")
_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)


@dataclass(frozen=True)
class Decoded:
    """Text, its encoding, and the number of bytes of the byte order mark before it."""

    text: str
    encoding: str
    base: int
    notes: tuple[str, ...] = ()


def decode(data: bytes) -> Decoded:
    """Decode text that is UTF-8, UTF-16 or, failing that, Windows-1252.

    Bytes that do not belong to the encoding become surrogate escapes, which
    cleaning removes and counts; so no byte position is lost.

    Raises:
        UnreadableError: the bytes are not text.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return Decoded(_lenient(data[len(mark) :], encoding), encoding, len(mark))
    if unmarked := _utf16_without_mark(data[:_SAMPLE]):
        return Decoded(_lenient(data, unmarked), unmarked, 0, ("UTF-16 without a byte order mark",))
    if kind := binary_kind(data):
        raise UnreadableError("binary content", kind)
    try:
        return Decoded(data.decode("utf-8"), "utf-8", 0)
    except UnicodeDecodeError:
        return _not_quite_utf8(data)


def decode_html(data: bytes) -> Decoded:
    """Decode a page, believing its own `<meta charset>` unless it is wrong or unknown.

    Raises:
        UnreadableError: the bytes are not text.
    """
    declared = _DECLARED.search(data[:4096])
    name = declared[1].decode("ascii").lower() if declared else "utf-8"
    # A page that could declare UTF-16 in ASCII letters is not in UTF-16; browsers take it for UTF-8.
    if name.startswith("utf") or data.startswith(tuple(mark for mark, _ in _BOMS)):
        return decode(data)
    if kind := binary_kind(data):
        raise UnreadableError("binary content", kind)
    try:
        codec = codecs.lookup("cp1252" if name in {"iso-8859-1", "latin1", "ascii", "us-ascii"} else name)
        return Decoded(codec.decode(data, "strict")[0], codec.name, 0)
    except (LookupError, UnicodeError, ValueError, AttributeError, TypeError):
        return decode(data)


def as_utf8(data: bytes, media: str) -> bytes:
    """A page whose server told its charset, in UTF-8 with a byte order mark; anything else as it is.

    Bytes that are not of that charset show that the server was wrong.
    """
    kind, _, parameters = media.lower().partition(";")
    charset = _CHARSET.search(parameters)
    if charset is None or "html" not in kind or charset[1].startswith("utf"):
        return data
    try:
        return codecs.BOM_UTF8 + data.decode(charset[1]).encode()
    except (LookupError, UnicodeError, ValueError):
        return data


def binary_kind(data: bytes) -> str | None:
    """What kind of binary file this is, or `None` if it may be text."""
    for magic, kind in _MAGIC.items():
        if data.startswith(magic) and (len(magic) > 2 or b"\0" in data[:_SAMPLE]):
            return kind
    sample = data[:_SAMPLE]
    if b"\0" in sample:
        return "NUL bytes"
    if len(_CONTROL.findall(sample)) > len(sample) * 0.05:
        return "control characters"
    return None


def _utf16_without_mark(sample: bytes) -> str | None:
    """Western text in UTF-16 has a zero in nearly every second byte, and none in the others."""
    pairs = len(sample) // 2
    if pairs < 8:
        return None
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > pairs * 0.7 and even == 0:
        return "utf-16-le"
    return "utf-16-be" if even > pairs * 0.7 and odd == 0 else None


def _not_quite_utf8(data: bytes) -> Decoded:
    """UTF-8 with a few damaged bytes, or an old Windows text: whichever explains the bytes better."""
    text = data.decode("utf-8", "surrogateescape")
    bad = sum("\udc80" <= char <= "\udcff" for char in text if char >= "\udc80")
    good = sum(char > "\x7f" for char in text) - bad
    if bad * 2 <= good:
        return Decoded(text, "utf-8", 0, ("damaged UTF-8",))
    return Decoded(_lenient(data, "cp1252"), "cp1252", 0, ("not UTF-8, read as Windows-1252",))


def _lenient(data: bytes, encoding: str) -> str:
    if encoding.startswith("utf-16"):
        return data[: len(data) // 2 * 2].decode(encoding, "surrogatepass")
    return data.decode(encoding, "surrogateescape")
