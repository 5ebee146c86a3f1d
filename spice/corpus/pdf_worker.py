"""The process that parses PDF files for `spice.corpus.pdf`.

Reads frames from standard input (length of the file as 8 bytes, page limit as
4, little endian, then the file) and answers each with a length and JSON:
`{"title", "pages", "scanned"}`, or `{"reason", "detail"}`.
"""

from __future__ import annotations

import io
import json
import re
import struct
import sys
from typing import Any

_MEMORY_BYTES = 4 * 2**30
_HYPHEN = re.compile(r"(?<=[a-z])-\n(?=[a-z])")


def main() -> None:
    """Answer requests until standard input ends."""
    _limit_memory()
    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # a library that prints must not break the frames
    while head := sys.stdin.buffer.read(12):
        length, pages = struct.unpack("<QI", head)
        reply = json.dumps(parse(sys.stdin.buffer.read(length), pages)).encode("ascii")
        answers.write(struct.pack("<Q", len(reply)) + reply)
        answers.flush()


def parse(data: bytes, most_pages: int) -> dict[str, Any]:
    """The text of each page, or why there is none."""
    from pypdf import PdfReader

    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            return {"reason": "encrypted PDF", "detail": "it asks for a password"}
        count = len(reader.pages)
        if count > most_pages:
            return {"reason": "PDF has too many pages", "detail": f"{count}, corpus.pdf_pages is {most_pages}"}
        texts = [_HYPHEN.sub("", page.extract_text() or "").strip() for page in reader.pages]
        title = reader.metadata.title if reader.metadata else None
    # Whatever a hostile file raises inside the parser is an answer here, not a bug of ours.
    except Exception as error:
        return {"reason": "damaged PDF", "detail": f"{type(error).__name__}: {error}"[:200]}
    scanned = texts.count("")
    if scanned == count:
        return {"reason": "scanned PDF without text layer", "detail": f"{count} pages; run OCR first"}
    return {"title": str(title or "").strip(), "pages": texts, "scanned": scanned}


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


if __name__ == "__main__":
    main()
