"""Files that are made to stop a run: each is given up with its reason, and the files beside it are read."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spice.config import CorpusConfig
from spice.corpus.document import Document
from spice.corpus.parsing import Parser
from spice.corpus.parsing.reading import read_item
from spice.corpus.source import LeftOut, SourceItem
from spice.errors import CorpusError

Results = Callable[..., list[Document | LeftOut]]

# A plug of a format that does whatever its file says, registered as any other, in the parsing process alone.
CULPRIT = """
import ctypes, os, socket, subprocess, time
from spice.corpus import formats
from spice.corpus.document import Document, Whole
from spice.corpus.parsing import worker

DEEDS = {
    b"exit": lambda: os._exit(3),
    b"crash": lambda: ctypes.string_at(0),
    b"spin": lambda: [None for _ in iter(int, 1)],
    b"sleep": lambda: time.sleep(1e6),
    b"eat": lambda: bytearray(2**40),
    b"call": lambda: socket.socket().connect(("127.0.0.1", 9)),
    b"pair": lambda: socket.socketpair(),
    b"run": lambda: subprocess.run(["/bin/true"], check=True),
    b"kill": lambda: os.kill(os.getppid(), 0),
    b"print": lambda: print("not a frame"),
}

def read(data, config):
    DEEDS[data]()
    yield Document("", "survived " + data.decode(), Whole("byte", 0, len(data)))

formats._BY_ENDING[".deed"] = formats.Format("deed", (".deed",), read)
worker.main()
"""


def zipped(members: Mapping[str, bytes | str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def texts(found: list[Document | LeftOut]) -> list[str]:
    return [one.text for one in found if isinstance(one, Document)]


def reasons(found: list[Document | LeftOut]) -> dict[str, str]:
    return {one.source: one.reason for one in found if isinstance(one, LeftOut)}


@pytest.fixture
def culprit(tmp_path: Path) -> Callable[..., list[tuple[int, Document | LeftOut]]]:
    """Parse files in a process that has the plug above."""

    def culprit(files: Mapping[str, bytes], **parsing: float) -> list[tuple[int, Document | LeftOut]]:
        items = []
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
            items.append(SourceItem(name, name, len(data), None, tmp_path / name))
        with Parser(CorpusConfig.model_validate({"parsing": parsing}), (sys.executable, "-c", CULPRIT)) as parser:
            return list(parser.parse_batch(items))

    return culprit


@pytest.mark.parametrize(
    ("deed", "reason", "detail"),
    [
        ("exit", "crashes its reader", "it ends with 3"),
        ("crash", "crashes its reader", "Segmentation fault"),
        ("spin", "takes too long to read", "corpus.parsing.seconds is 0.5"),
        ("sleep", "takes too long to read", "corpus.parsing.silent_seconds is 8"),
        ("eat", "needs too much memory", "corpus.parsing.memory_bytes is 2147483648"),
        ("call", "damaged deed", "PermissionError: [Errno 1] Operation not permitted"),
        ("pair", "damaged deed", "PermissionError: [Errno 1] Operation not permitted"),
        ("run", "damaged deed", "PermissionError: [Errno 1] Operation not permitted: '/bin/true'"),
        ("kill", "damaged deed", "PermissionError: [Errno 1] Operation not permitted"),
    ],
)
def test_a_file_that_stops_its_reader_is_told_and_the_next_is_read(
    culprit: Callable[..., list[tuple[int, Document | LeftOut]]], deed: str, reason: str, detail: str
) -> None:
    seconds = 0.5 if deed == "spin" else 60
    silent = 8 if deed == "sleep" else 600
    files = {"a.html": b"<p>before</p>", "b.deed": deed.encode(), "c.html": b"<p>after</p>"}
    before, found, after = culprit(files, seconds=seconds, silent_seconds=silent)
    assert found == (1, LeftOut("b.deed", "read", reason, detail))
    assert (before[0], after[0]) == (0, 2)
    assert texts([before[1], after[1]]) == ["before", "after"]


def test_a_library_that_prints_breaks_nothing(
    culprit: Callable[..., list[tuple[int, Document | LeftOut]]],
) -> None:
    assert texts([one for _, one in culprit({"a.deed": b"print"})]) == ["survived print"]


def test_an_archive_loses_only_the_members_that_stop_their_reader(
    culprit: Callable[..., list[tuple[int, Document | LeftOut]]],
) -> None:
    inner = zipped({"3.html": "<p>three</p>", "x.deed": "crash", "4.html": "<p>four</p>", "y.deed": "exit"})
    members = {"1.html": "<p>one</p>", "a.deed": "exit", "2.txt": "two", "in.zip": inner, "b.deed": "spin"}
    files = {"a.zip": zipped({**members, "5.html": "<p>five</p>"}), "b.html": b"<p>six</p>"}
    found = culprit(files, seconds=2)
    assert [index for index, _ in found] == sorted(index for index, _ in found)
    every = [one for _, one in found]
    assert texts(every) == ["one", "two", "three", "four", "five", "six"]
    assert reasons(every) == {
        "a.zip/a.deed": "crashes its reader",
        "a.zip/in.zip/x.deed": "crashes its reader",
        "a.zip/in.zip/y.deed": "crashes its reader",
        "a.zip/b.deed": "takes too long to read",
    }


def test_an_archive_of_nothing_but_crashes_comes_to_an_end(
    culprit: Callable[..., list[tuple[int, Document | LeftOut]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spice.corpus.parsing.parser._MOST_DEATHS", 3)
    files = {"a.zip": zipped({f"{n}.deed": "exit" for n in range(9)}), "b.html": b"<p>after</p>"}
    every = [one for _, one in culprit(files)]
    assert texts(every) == ["after"]
    assert reasons(every)["a.zip"] == "too many members crash their reader"


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xff\xff\xff",
        b"\x02\0\0\0[]",
        b'\x0f\0\0\0{"kind": "ready"',
        b'\x1b\0\0\0{"kind":"ended","path":[0]}',
        b'\x34\0\0\0{"kind":"left_out","source":1,"stage":"x","reason":""}',
    ],
)
def test_answers_that_make_no_sense_are_those_of_a_dead_process(tmp_path: Path, answer: bytes) -> None:
    """A library that was taken over may say anything; it is no more believed than one that crashed."""
    script = (
        "import json, os, sys\n"
        "ready = json.dumps({'kind': 'ready'}).encode()\n"
        "os.write(1, len(ready).to_bytes(4, 'little') + ready)\n"
        f"os.write(1, {answer!r})\n"
        "sys.stdin.buffer.read()\n"
    )
    (tmp_path / "a.html").write_bytes(b"<p>x</p>")
    item = SourceItem("a.html", "a.html", 8, None, tmp_path / "a.html")
    config = CorpusConfig.model_validate({"parsing": {"silent_seconds": 3}})
    with Parser(config, (sys.executable, "-c", script)) as parser:
        ((_, found),) = parser.parse_batch([item])
    assert isinstance(found, LeftOut)
    assert found.reason in {"crashes its reader", "takes too long to read"}


def test_a_process_that_does_not_start_is_an_error_and_no_fault_of_documents(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(b"<p>x</p>")
    item = SourceItem("a.html", "a.html", 8, None, tmp_path / "a.html")
    with (
        Parser(CorpusConfig(), (sys.executable, "-c", "")) as parser,
        pytest.raises(CorpusError, match="does not start"),
    ):
        list(parser.parse_batch([item]))


def nested(levels: int, content: bytes, copies: int = 1) -> bytes:
    data = zipped({"zeros.txt": content})
    for _ in range(levels):
        data = zipped({f"{number}.zip": data for number in range(copies)})
    return data


def test_zip_bombs_are_given_up_and_their_neighbours_read(results: Results) -> None:
    zeros = b"0" * 70_000_000
    flat, deep = zipped({"zeros.txt": zeros}), nested(2, b"0" * 20_000_000, copies=9)
    found = results(
        "a.zip",
        zipped({"1.txt": "first", "zeros.txt": zeros, "flat.zip": flat, "deep.zip": deep, "2.txt": "last"}),
        max_file_bytes=30_000_000,
    )
    short = [text[:10] for text in texts(found) if not text.startswith("0")]
    assert short == ["first", "last"]
    assert reasons(found)["a.zip/zeros.txt"] == "expands too much"
    assert reasons(found)["a.zip/flat.zip/zeros.txt"] == "expands too much"
    assert reasons(found)["a.zip/deep.zip"] == "expands too much"


def test_archives_may_not_nest_for_ever(results: Results) -> None:
    found = results("a.zip", nested(6, b"deep"), parsing={"archive_depth": 3})
    assert reasons(found) == {"a.zip/0.zip/0.zip/0.zip/0.zip": "archive too deep"}


def test_a_compressed_bomb_is_counted_while_it_unfolds(results: Results) -> None:
    twice = gzip.compress(gzip.compress(b"0" * 5_000_000))
    for name, data in (("a.txt.gz", gzip.compress(b"0" * 5_000_000)), ("a.txt.gz.gz", twice)):
        assert reasons(results(name, data, max_file_bytes=1_000_000)) == {name: "too large"}
    rows = gzip.compress(b'{"text": ""}\n' * 20_000)
    found = results("a.jsonl.gz", rows, parsing={"expansion": 2.0})
    assert len(found) == 20_000  # small enough to be let through whatever the ratio


def test_an_archive_with_too_many_members_gives_the_first(results: Results) -> None:
    data = zipped({f"{n}.txt": "x" for n in range(9)})
    found = results("a.zip", data, parsing={"archive_members": 4})
    assert len(texts(found)) == 4
    assert reasons(found) == {"a.zip": "too many members"}


def test_damaged_archives_give_what_can_be_read(results: Results) -> None:
    members = zipped({"a.txt": "x" * 1000, "b.txt": "fine"})
    torn = members[:40] + b"\0\0\0\0" + members[44:]
    found = results("a.zip", torn)
    assert texts(found) == ["fine"]
    assert set(reasons(found)) == {"a.zip/a.txt"}
    assert reasons(results("b.zip", members[:60])) == {"b.zip": "damaged zip archive"}
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        info = tarfile.TarInfo("a.txt")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"words"))
        info = tarfile.TarInfo("b.txt")
        info.size = 10**12
        archive.addfile(info)
    found = results("a.tar", data.getvalue()[:2048])
    assert texts(found) == ["words"]
    assert set(reasons(found)) <= {"a.tar", "a.tar/b.txt"}
    assert reasons(found)


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "haha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">'
    '<!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;"><!ENTITY f "&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;">'
    '<!ENTITY g SYSTEM "file:///etc/hostname">]>'
)


def docx_with(declaration: str, words: str) -> bytes:
    from docx import Document as Word

    data = io.BytesIO()
    Word().save(data)
    parts = {}
    with zipfile.ZipFile(data) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["word/document.xml"] = (
        f'{declaration}<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
        f"<w:p><w:r><w:t>{words}</w:t></w:r></w:p></w:body></w:document>"
    ).encode()
    return zipped(parts)


@pytest.mark.parametrize("entity", ["&f;", "&g;"])
def test_entities_in_office_documents_are_never_resolved(results: Results, entity: str) -> None:
    found = results("a.docx", docx_with(LAUGHS, f"words {entity}"))
    hostname = Path("/etc/hostname").read_text().strip() if Path("/etc/hostname").exists() else "haha"
    assert not any("haha" in text or hostname in text for text in texts(found))


@pytest.mark.parametrize("entity", ["&f;", "&g;"])
def test_entities_in_books_are_refused(results: Results, entity: str) -> None:
    container = '<container><rootfiles><rootfile full-path="a.opf"/></rootfiles></container>'
    package = f"{LAUGHS}<package><title>{entity}</title><manifest/><spine/></package>"
    found = results("a.epub", zipped({"META-INF/container.xml": container, "a.opf": package}))
    assert reasons(found)["a.epub"] in {"XML with entities", "damaged XML"}
    assert texts(found) == []


def pdf(pages: int, content: bytes, kids: str | None = None) -> bytes:
    """A PDF whose pages all show the same content stream."""
    packed = zlib.compress(content)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {pages}/Kids[{kids or ' '.join(f'{5 + n} 0 R' for n in range(pages))}]>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        b"<</Length %d/Filter/FlateDecode>>stream\n%b\nendstream" % (len(packed), packed),
        *[b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Resources<</Font<</F 3 0 R>>>>/Contents 4 0 R>>"] * pages,
    ]
    data, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, one in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, one)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return bytes(data + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start))


def test_a_pdf_of_ten_thousand_pages_gives_its_first(results: Results) -> None:
    limit, document = results("a.pdf", pdf(10_000, b"BT /F 1 Tf (word) Tj ET"), pdf_pages=50)
    assert limit == LeftOut("a.pdf", "part", "PDF pages beyond the limit", "pages 51 to 10000; corpus.pdf_pages is 50")
    assert isinstance(document, Document)
    assert document.text.split() == ["word"] * 50


def test_pdf_loops_and_bombs_come_to_an_end(results: Results) -> None:
    limits = {"parsing": {"seconds": 2, "memory_bytes": 2**30}}
    for data in (pdf(1, b"", kids="2 0 R"), pdf(1, b"BT /F 1 Tf (w) Tj ET\n" * 500_000), pdf(1, b"q " * 5_000_000)):
        found = results("a.pdf", data, **limits)
        assert len(found) >= 1
        assert all(isinstance(one, Document) or one.source == "a.pdf" for one in found)


@pytest.mark.parametrize(
    "page",
    [
        b"<div>" * 10_000 + b"deep " * 300 + b"</div>" * 10_000,
        b"<p>" + b"words " * 300 + b"<!--" * 200_000,
        b"<p>" + b"words " * 300 + b"<a b='" * 100_000,
        b"<p style='" + b"display " * 100_000 + b"'>" + b"words " * 300,
        b"<table>" * 3000 + b"<tr><td>" + b"words " * 300,
        b"<p>" + b"&" * 300_000 + b"words " * 300,
        b"<p>" + b" \n" * 300_000 + b"words " * 300,
    ],
    ids=["deep", "comments", "attributes", "style", "tables", "references", "blanks"],
)
def test_hostile_pages_end_within_their_time(results: Results, page: bytes) -> None:
    (found,) = results("a.html", page, parsing={"seconds": 20})
    assert isinstance(found, Document) or found.reason in {"takes too long to read", "crashes its reader"}
    (after,) = results("b.html", b"<p>after</p>", parsing={"seconds": 20})
    assert isinstance(after, Document)


def test_deep_json_and_long_rows_are_rows_without_text(results: Results) -> None:
    rows = [b"[" * 200_000, b'{"text": ' * 100_000, b'{"text": "fine"}', b'"' + b"x" * 5000 + b'"', b'{"text": "end"}']
    found = results("a.jsonl", b"\n".join(rows), max_file_bytes=2_000_000)
    assert [text for text in texts(found) if text] == ["fine", "end"]
    assert len(found) == 5
    found = results("a.jsonl", b"\n".join(rows), max_file_bytes=4000)
    assert [text for text in texts(found) if text] == ["fine", "end"]


def test_a_table_that_unfolds_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spice.corpus.formats.streams._FREE_BYTES", 2**20)  # in this process, to spare a gigabyte
    table = pa.table({"text": pa.DictionaryArray.from_arrays([0] * 1000, pa.array(["long words " * 10_000]))})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, compression="zstd")
    assert path.stat().st_size < 10_000
    item = SourceItem("a.parquet", "a.parquet", path.stat().st_size, None, path)
    found = [one for one in read_item(item, CorpusConfig()) if isinstance(one, Document | LeftOut)]
    assert len(texts(found)) < 100
    assert reasons(found) == {"a.parquet": "expands too much"}


def test_deep_mail_comes_to_an_end(results: Results) -> None:
    head = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(2000))
    (found,) = results("a.eml", b"Subject: x\n" + head + b"\n\nwords")
    assert isinstance(found, Document | LeftOut)
    inner = b"Subject: inner\n\nwords"
    for _ in range(30):
        inner = (
            b"Subject: outer\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n"
            + inner
        )
    assert results("a.eml", inner)


def test_a_workbook_with_a_far_corner_comes_to_an_end(results: Results) -> None:
    from xlsxwriter import Workbook

    data = io.BytesIO()
    book = Workbook(data)
    sheet = book.add_worksheet("far")
    sheet.write(0, 0, "near")
    sheet.write(1_048_575, 16_383, "far")
    book.close()
    (found,) = results("a.xlsx", data.getvalue(), parsing={"memory_bytes": 2**30, "seconds": 20})
    assert isinstance(found, LeftOut)
    (after,) = results("b.csv", b"a,b\n1,2\n", parsing={"memory_bytes": 2**30, "seconds": 20})
    assert isinstance(after, Document)


def test_text_beyond_the_limit_is_left_out(results: Results) -> None:
    assert reasons(results("a.html", b"<p>" + b"word " * 100, parsing={"text_chars": 100})) == {
        "a.html": "too much text"
    }
    row = json.dumps({"text": "word " * 100}).encode()
    assert reasons(results("a.jsonl", row, parsing={"text_chars": 100})) == {"a.jsonl": "too much text"}


def test_a_batch_that_is_left_early_leaves_no_answers_behind(tmp_path: Path) -> None:
    items = []
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.html").write_text(f"<p>{name}</p>")
        items.append(SourceItem(f"{name}.html", name, 8, None, tmp_path / f"{name}.html"))
    with Parser(CorpusConfig()) as parser:
        left = parser.parse_batch(items)
        next(left)
        left.close()
        ((_, found),) = parser.parse_batch(items[2:])
    assert isinstance(found, Document)
    assert found.text == "c"


def test_a_worker_does_not_load_modules_from_where_documents_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "selectolax.py").write_text("raise SystemExit('hostile module')")
    (tmp_path / "a.html").write_bytes(b"<p>words</p>")
    monkeypatch.chdir(tmp_path)
    with Parser(CorpusConfig()) as parser:
        ((_, found),) = parser.parse_batch([SourceItem("a.html", "a.html", 12, None, tmp_path / "a.html")])
    assert isinstance(found, Document)
