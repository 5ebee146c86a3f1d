"""The formats, in one place: which plug reads which file.

A new format is a function in a module of this package and an entry in
`FORMATS`; nothing else knows formats by name.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from spice.corpus.formats.archive import unpack_compressed, unpack_tar, unpack_zip
from spice.corpus.formats.base import Format, Member, Unread
from spice.corpus.formats.docx import read_docx
from spice.corpus.formats.epub import read_epub
from spice.corpus.formats.html import read_html
from spice.corpus.formats.mail import unpack_mail, unpack_mbox
from spice.corpus.formats.pdf import read_pdf
from spice.corpus.formats.pptx import read_pptx
from spice.corpus.formats.rows import unpack_json, unpack_jsonl, unpack_parquet
from spice.corpus.formats.tables import read_csv, read_tsv, read_workbook
from spice.corpus.formats.text import read_code, read_markdown, read_text
from spice.corpus.formats.warc import unpack_warc

__all__ = ["FORMATS", "PARSER_VERSION", "Format", "Member", "Unread", "is_safe", "recognise"]

PARSER_VERSION = "2"
"""Changes with every change of what a plug makes of the same bytes, so that cached results are not taken for new."""

_CODE = (
    ".adb .ads .asm .awk .bash .bat .c .cc .clj .cljs .cmake .cpp .cs .css .cu .cxx .d .dart .el .elm .erl .ex .exs .f"
    " .f90 .fs .go .gradle .graphql .groovy .h .hh .hpp .hrl .hs .java .jl .js .jsx .kt .kts .less .lisp .lua .m"
    " .ml .mli .mm .nim .nix .pas .pl .pm .proto .ps1 .py .pyi .r .rb .rkt .rs .scala .scm .scss .sh .sol .sql"
    " .swift .tcl .tf .toml .ts .tsx .vb .vhd .vue .xml .xsd .xsl .yaml .yml .zig .zsh"
)

_TEXT = Format("text", (".txt", ".text", ".log", ".rst", ".org", ".tex"), read_text, media=("text/plain",), safe=True)

FORMATS: tuple[Format, ...] = (
    _TEXT,
    Format("markdown", (".md", ".markdown"), read_markdown, media=("text/markdown",), safe=True),
    Format("code", tuple(_CODE.split()), read_code, media=("text/javascript",), safe=True),
    Format("html", (".html", ".htm", ".xhtml"), read_html, media=("text/html", "application/xhtml+xml")),
    Format("pdf", (".pdf",), read_pdf, media=("application/pdf",), magic=(b"%PDF-",)),
    Format("docx", (".docx", ".docm"), read_docx),
    Format("pptx", (".pptx", ".pptm"), read_pptx),
    Format("epub", (".epub",), read_epub, media=("application/epub+zip",)),
    Format("csv", (".csv",), read_csv, media=("text/csv",)),
    Format("tsv", (".tsv", ".tab"), read_tsv, media=("text/tab-separated-values",)),
    Format("workbook", (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), read_workbook),
    Format("mail", (".eml", ".mht", ".mhtml"), unpack=unpack_mail, media=("message/rfc822",)),
    Format("mbox", (".mbox",), unpack=unpack_mbox, media=("application/mbox",)),
    Format("jsonl", (".jsonl", ".ndjson"), unpack=unpack_jsonl, media=("application/jsonl",), safe=True),
    Format("json", (".json",), unpack=unpack_json, media=("application/json",), safe=True),
    Format("parquet", (".parquet",), unpack=unpack_parquet, magic=(b"PAR1",)),
    Format("warc", (".warc",), unpack=unpack_warc, media=("application/warc",), magic=(b"WARC/",)),
    Format("zip", (".zip",), unpack=unpack_zip, media=("application/zip",), magic=(b"PK\x03\x04", b"PK\x05\x06")),
    Format("tar", (".tar",), unpack=unpack_tar, media=("application/x-tar",)),
    Format(
        "compressed",
        (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst"),
        unpack=unpack_compressed,
        media=("application/gzip", "application/zstd"),
        magic=(b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"),
    ),
)

_BY_ENDING = {ending: one for one in FORMATS for ending in one.endings}
_BY_MEDIA = {media: one for one in FORMATS for media in one.media}
# Servers and mail programs tell these of files that are more than that.
_VAGUE = frozenset(("text/plain", "application/json", "application/zip", "application/gzip"))
_HTML = _BY_ENDING[".html"]


def recognise(name: str, media: str, head: bytes) -> Format:
    """The format of a file.

    A media type that names one format chooses it; else the ending of the name
    does, then a media type of many formats, then the first bytes. What seems
    to be nothing is text: that reader refuses binaries itself.

    Args:
        name: of the file, with or without folders, or an address.
        media: its media type, as far as known.
        head: its first bytes, a kilobyte or so.
    """
    if found := _named(name, media):
        return found
    for one in FORMATS:
        if one.magic and head.startswith(one.magic):
            return one
    if head[257:262] == b"ustar":
        return _BY_ENDING[".tar"]
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower()
    return _HTML if start.startswith((b"<!doctype html", b"<html")) else _TEXT


def is_safe(name: str, media: str) -> bool:
    """Whether a file may be parsed by the process that runs everything else, as far as its name tells.

    A file in gzip is as safe as what is in it, because what comes out is counted and the window is small. The other
    compressions let a file say how much memory it takes to unfold.
    """
    found = _named(name, media)
    if found is not None and found.name == "compressed" and _ending(name) == ".gz":
        found = _BY_ENDING.get(_ending(name[: -len(".gz")]))
    return found is not None and found.safe


def _named(name: str, media: str) -> Format | None:
    kind = media.partition(";")[0].strip().lower()
    told = _BY_MEDIA.get(kind)
    return told if told is not None and kind not in _VAGUE else _BY_ENDING.get(_ending(name)) or told


def _ending(name: str) -> str:
    """Lower case, with the dot; of `https://example.org/` there is none."""
    return PurePosixPath(name.rpartition("/")[2]).suffix.lower()
