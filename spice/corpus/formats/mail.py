"""Mail: a message with its attachments as members, and mailboxes of messages."""

from __future__ import annotations

import io
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from typing import Any, BinaryIO

from spice.config import CorpusConfig
from spice.corpus.document import Document, UnreadableError, Whole
from spice.corpus.formats.base import Member, Unread
from spice.corpus.formats.html import visible_text

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_LINE_BYTES = 1 << 20


def unpack_mail(stream: BinaryIO, config: CorpusConfig) -> Iterator[Document | Member]:
    """The body, plain text before HTML, below the headers that people see; then the attachments."""
    data = stream.read(config.max_file_bytes + 1)
    if len(data) > config.max_file_bytes:
        raise UnreadableError("too large", f"corpus.max_file_bytes is {config.max_file_bytes}")
    message: EmailMessage = message_from_bytes(data, policy=policy.default)
    if not message.keys():
        raise UnreadableError("not a mail message", "it has no headers")
    numbers = {id(part): number for number, part in enumerate(message.walk(), 1)}
    body = message.get_body(("plain", "html"))
    subject = " ".join(str(message.get("Subject", "")).split())
    text = f"{_headers(message)}\n\n{_content(body) if body is not None else ''}"
    number = numbers.get(id(body), 1)
    yield Document(subject[:200], text, Whole("part", number, number))
    for part in message.iter_attachments() if message.is_multipart() else ():
        name = (
            part.get_filename()
            or f"part-{numbers[id(part)]}{'.eml' if part.get_content_maintype() == 'message' else ''}"
        )
        payload = _payload(part)
        yield Member(name, io.BytesIO(payload), len(payload), part.get_content_type())


def unpack_mbox(stream: BinaryIO, config: CorpusConfig) -> Iterator[Member | Unread]:
    """The messages of a mailbox, numbered in their order."""
    for number, data in enumerate(_messages(stream, config.max_file_bytes), 1):
        name = f"{number:06d}.eml"
        if len(data) > config.max_file_bytes:
            yield Unread("too large", f"corpus.max_file_bytes is {config.max_file_bytes}", name)
        else:
            yield Member(name, io.BytesIO(data), len(data))


def _headers(message: EmailMessage) -> str:
    return "\n".join(f"{name}: {' '.join(str(message[name]).split())}" for name in _HEADERS if message[name])


def _content(part: MIMEPart) -> str:
    content: Any
    try:
        content = part.get_content()
    except (LookupError, ValueError):  # an unknown charset
        content = _decoded(part).decode("utf-8", "replace")
    text = content if isinstance(content, str) else ""
    return visible_text(text) if part.get_content_subtype() == "html" else text


def _payload(part: Any) -> bytes:
    """The bytes of an attachment; a message within a message as it would be a file."""
    nested = part.get_content_maintype() == "message" and part.is_multipart()
    return bytes(part.get_payload(0).as_bytes()) if nested else _decoded(part)


def _decoded(part: Any) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _messages(stream: BinaryIO, most_bytes: int) -> Iterator[bytes]:
    """Messages between lines that begin with "From ", after a blank line; one that is too long is cut a byte after."""
    message = bytearray()
    blank, begun = True, False
    while line := stream.readline(_LINE_BYTES):
        if blank and line.startswith(b"From "):
            if begun:
                yield bytes(message)
            message, begun, blank = bytearray(), True, False
            continue
        if not begun:
            raise UnreadableError("not a mailbox", 'its first line does not begin with "From "')
        blank = not line.strip()
        if len(message) <= most_bytes:
            message += line.removeprefix(b">") if line.startswith(b">From ") else line
    if begun:
        yield bytes(message)
