"""Every format, and every bad file of that format."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.corpus.decode import decode
from spice.corpus.document import Document, UnreadableError
from spice.corpus.parsing import Parser
from spice.corpus.source import LeftOut, SourceItem

MakePdf = Callable[..., bytes]


Parse = Callable[..., list[Document]]
Results = Callable[..., list[Document | LeftOut]]


@pytest.mark.parametrize(
    ("data", "text", "encoding", "note"),
    [
        ("naïve 漢字".encode(), "naïve 漢字", "utf-8", None),
        ("naïve".encode("utf-8-sig"), "naïve", "utf-8", None),
        (b"\xff\xfe" + "naïve".encode("utf-16-le"), "naïve", "utf-16-le", None),
        (b"\xfe\xff" + "naïve".encode("utf-16-be"), "naïve", "utf-16-be", None),
        ("plain words here".encode("utf-16-le"), "plain words here", "utf-16-le", "UTF-16 without a byte order mark"),
        ("“naïve” café – 5 €".encode("cp1252"), "“naïve” café – 5 €", "cp1252", "not UTF-8, read as Windows-1252"),
        ("čerešňa žltá kôň".encode() + b"\xff", "čerešňa žltá kôň\udcff", "utf-8", "damaged UTF-8"),
    ],
)
def test_encodings(data: bytes, text: str, encoding: str, note: str | None) -> None:
    decoded = decode(data)
    assert (decoded.text, decoded.encoding) == (text, encoding)
    assert decoded.notes == ((note,) if note else ())


@given(st.binary(max_size=200))
def test_decoding_loses_no_position(data: bytes) -> None:
    from spice.corpus.document import EncodedBytes

    try:
        decoded = decode(data)
    except UnreadableError:
        return
    if decoded.encoding.startswith("utf-16"):
        data = data[: (len(data) - decoded.base) // 2 * 2 + decoded.base]
    middle = len(decoded.text) // 2
    ranges = EncodedBytes(decoded.encoding, decoded.base).locate(
        decoded.text, [(0, middle), (middle, len(decoded.text))]
    )
    assert ranges[0][0] == decoded.base
    assert ranges[0][1] == ranges[1][0]
    assert ranges[1][1] == len(data)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("empty.txt", b"", "empty file"),
        ("program.txt", b"\x7fELF\x02\x01\x01\0\0", "binary content"),
        ("image.txt", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "binary content"),
        ("scan.txt", b"%PDF-1.7 whatever", "binary content"),
        ("archive.md", b"PK\x03\x04\x14\0\0\0", "binary content"),
        ("random.bin", bytes(range(256)) * 4, "binary content"),
        ("control.txt", b"\x01\x02\x03\x04abc" * 30, "binary content"),
        ("page.html", b"\0\1\2\3" * 100, "binary content"),
        ("fake.pdf", b"no pdf at all", "not a PDF file"),
        ("broken.pdf", b"%PDF-1.7\nbroken", "damaged PDF"),
        ("fake.parquet", b"PAR1 not really PAR1", "damaged Parquet"),
        ("fake.jsonl", b"\0\1\2", "binary content"),
        ("big.txt", b"x" * 1000, "too large"),
    ],
)
def test_unreadable_files_say_why(results: Results, name: str, data: bytes, reason: str) -> None:
    (found,) = results(name, data, max_file_bytes=1024 if name != "big.txt" else 999)
    assert isinstance(found, LeftOut)
    assert (found.source, found.stage, found.reason) == (name, "read", reason)


def test_missing_file_is_unreadable(tmp_path: Path, parsers: Callable[..., Parser]) -> None:
    items = [SourceItem(name, name, 3, None, tmp_path / name) for name in ("gone.txt", "gone.html")]
    found = list(parsers().parse_batch(items))
    assert [(index, one.reason) for index, one in found if isinstance(one, LeftOut)] == [
        (0, "cannot be opened"),
        (1, "cannot be opened"),
    ]


@pytest.mark.parametrize(
    ("name", "data", "unit"),
    [
        ("notes", b"plain words", "byte"),
        ("code.py", b"print('x')", "byte"),
        ("page", b" <!DOCTYPE html><p>words</p>", "byte"),
        ("page.php", b"<html><body>words</body></html>", "byte"),
    ],
)
def test_other_names_are_judged_by_content(parse: Parse, name: str, data: bytes, unit: str) -> None:
    document = parse(name, data)[0]
    assert document.positions.unit == unit
    assert "<" not in document.text


def test_markdown_title_and_front_matter(parse: Parse) -> None:
    document = parse("a.md", b"---\ntitle: no\n---\n\nIntro\n\n## The *Title* ##\n\ntext")[0]
    assert document.title == "The *Title*"
    assert document.text == "\nIntro\n\n## The *Title* ##\n\ntext"
    assert document.positions.locate(document.text, [(1, 6)]) == [(19, 24)]


def test_html_keeps_the_main_content_only(parse: Parse) -> None:
    page = """<html><head><title>T &amp; t</title><style>p {}</style></head><body>
      <nav>menu</nav><header>logo</header><aside>ad</aside>
      <div style="display: none">ignore this</div><p hidden>nor this</p><p aria-hidden="true">nor that</p>
      <h1>Head</h1><p>One <b>bold</b>
      word.</p>tail<ul><li>first</li><li>second</li></ul>
      <table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>
      <pre>x\n  y</pre><script>var x</script><footer>imprint</footer></body></html>"""
    document = parse("a.html", page.encode())[0]
    assert document.title == "T & t"
    parts = [line for line in document.text.split("\n") if line]
    assert parts == ["Head", "One bold word.", "tail", "first", "second", "a | b", "1 | 2", "x", "  y"]
    assert document.positions.locate(document.text, [(3, 9)]) == [(0, len(page))]


def test_html_prefers_main_unless_it_is_a_fragment(parse: Parse) -> None:
    page = b"<body><p>Around it.</p><main><p>" + b"Main words. " * 20 + b"</p></main></body>"
    assert "Around" not in parse("a.html", page)[0].text
    page = b"<body><p>" + b"Body words. " * 20 + b"</p><article>x</article></body>"
    assert "Body words" in parse("a.html", page)[0].text


@pytest.mark.parametrize("declared", ["windows-1251", "iso-8859-2", "utf-8", "no-such", "rot13", "utf-16"])
def test_html_charset(parse: Parse, declared: str) -> None:
    text = {"windows-1251": "слово", "iso-8859-2": "čšž"}.get(declared, "é")
    codec = declared if declared in {"windows-1251", "iso-8859-2"} else "utf-8"
    page = f'<meta charset="{declared}"><p>{text}</p>'.encode(codec)
    assert parse("a.html", page)[0].text == text


def test_html_may_nest_deeper_than_python_recurses(parse: Parse) -> None:
    depth = sys.getrecursionlimit() * 5
    assert parse("a.html", b"<div>" * depth + b"word" + b"</div>" * depth)[0].text == "word"


def test_jsonl_rows(parse: Parse) -> None:
    rows = [json.dumps({"text": "one", "title": "T"}), "", "{broken", json.dumps({"text": 5}), "[1]", "[" * 5000]
    documents = parse("a.jsonl", "\n".join([*rows, '{"text": "last"}']).encode("utf-8-sig"))
    assert [(d.text, d.notes, d.positions.locate(d.text, [(0, 1)])[0]) for d in documents] == [
        ("one", (), (1, 1)),
        ("", ("row is not JSON",), (3, 3)),
        ("", ("row without text",), (4, 4)),
        ("", ("row without text",), (5, 5)),
        ("", ("row is not JSON",), (6, 6)),
        ("last", (), (7, 7)),
    ]
    assert documents[0].title == "T"
    assert parse("b.jsonl", b'{"body": "x"}', text_field="body")[0].text == "x"


def test_parquet_rows(parse: Parse, results: Results) -> None:
    data = BytesIO()
    pq.write_table(pa.table({"text": ["one", None, "three"], "title": ["A", "B", None], "n": [1, 2, 3]}), data)
    documents = parse("a.parquet", data.getvalue())
    assert [(d.title, d.text, d.positions.locate("", [(0, 0)])[0][0]) for d in documents] == [
        ("A", "one", 1),
        ("", "", 2),
        ("", "three", 3),
    ]
    (missing,) = results("a.parquet", data.getvalue(), text_field="body")
    assert isinstance(missing, LeftOut)
    assert (missing.reason, missing.detail) == ("no text column", "body is not among n, text, title")


def test_pdf_pages_and_title(results: Results, make_pdf: MakePdf) -> None:
    pages = ["First page\nhas two lines", "Second page", "", "Last"]
    left_out, document = results("a.pdf", make_pdf(pages, title="Report"))
    assert left_out == LeftOut("a.pdf", "part", "pages without text layer", "pages 3")
    assert isinstance(document, Document)
    assert document.title == "Report"
    assert document.notes == ("pages without text layer",)
    for word, page in (("First", 1), ("Second", 2), ("Last", 4)):
        at = document.text.index(word)
        assert document.positions.locate(document.text, [(at, at + len(word))]) == [(page, page)]
    assert document.positions.locate(document.text, [(0, len(document.text))]) == [(1, 4)]


def test_pdf_that_gives_no_text_says_why(results: Results, make_pdf: MakePdf) -> None:
    for data, changes, reason in (
        (make_pdf(["secret"], encrypt="password"), {}, "encrypted PDF"),
        (make_pdf(["", ""]), {}, "scanned PDF without text layer"),
        (make_pdf(["some text"])[:200], {}, "damaged PDF"),
        (make_pdf(["a b c " * 1000] * 2000), {"parsing": {"seconds": 0.01}}, "takes too long to read"),
    ):
        (found,) = results("a.pdf", data, **changes)
        assert isinstance(found, LeftOut)
        assert found.reason == reason


def test_pdf_beyond_the_page_limit_gives_its_first_pages(results: Results, make_pdf: MakePdf) -> None:
    left_out, document = results("a.pdf", make_pdf(["one", "two", "three", "four"]), pdf_pages=3)
    assert left_out == LeftOut("a.pdf", "part", "PDF pages beyond the limit", "pages 4 to 4; corpus.pdf_pages is 3")
    assert isinstance(document, Document)
    assert document.text == "one\n\ntwo\n\nthree"


def test_pdf_without_password_but_encrypted_is_read(parse: Parse, make_pdf: MakePdf) -> None:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(PdfReader(BytesIO(make_pdf(["open to all"]))))
    writer.encrypt("", "owner", algorithm="RC4-128")
    data = BytesIO()
    writer.write(data)
    assert parse("a.pdf", data.getvalue())[0].text == "open to all"
