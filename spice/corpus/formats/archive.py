"""Archives and compressed files: their members, one after the other, each read by its own format."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from spice.config import CorpusConfig
from spice.corpus.document import UnreadableError
from spice.corpus.formats.base import Member, Unread
from spice.corpus.formats.streams import DAMAGED, head, member_bytes, seekable

_ENCRYPTED = 0x1


def unpack_zip(stream: BinaryIO, config: CorpusConfig) -> Iterator[Member | Unread]:
    """The files of a zip archive, in the order of its directory."""
    with seekable(stream) as file:
        try:
            archive = zipfile.ZipFile(file)
        except DAMAGED as error:
            raise UnreadableError("damaged zip archive", str(error)[:200]) from error
        for info in archive.infolist():
            if info.is_dir():
                continue
            if info.flag_bits & _ENCRYPTED:
                yield Unread("encrypted member", "it asks for a password", info.filename)
                continue
            # The library gives no more bytes than the entry says, so this much is known without unpacking.
            if info.file_size > member_bytes(info.compress_size, config.parsing.expansion):
                yield Unread("expands too much", f"from {info.compress_size} to {info.file_size} bytes", info.filename)
                continue
            try:
                member = archive.open(info)
            except DAMAGED as error:
                yield Unread("damaged member", str(error)[:200], info.filename)
                continue
            with member:
                yield Member(info.filename, cast(BinaryIO, member), info.compress_size)


def unpack_tar(stream: BinaryIO, _config: CorpusConfig) -> Iterator[Member | Unread]:
    """The regular files of a tar archive, in their order; links and devices are no documents."""
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for info in archive:
                if info.isreg() and (member := archive.extractfile(info)) is not None:
                    yield Member(info.name, cast(BinaryIO, member), info.size)
    except DAMAGED as error:
        raise UnreadableError("damaged tar archive", str(error)[:200]) from error


def unpack_compressed(stream: BinaryIO, _config: CorpusConfig) -> Iterator[Member]:
    """The one file in a compressed one; it keeps its name without the ending."""
    begin, whole = head(stream, 8)
    for magic, opened in _CODECS:
        if begin.startswith(magic):
            yield Member("", opened(whole))
            return
    raise UnreadableError("not a compressed file", "expected gzip, bzip2, xz or Zstandard")


def _zstandard(stream: Any) -> BinaryIO:
    import pyarrow as pa

    return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd"))


_CODECS: tuple[tuple[bytes, Callable[[Any], BinaryIO]], ...] = (
    (b"\x1f\x8b", lambda stream: cast(BinaryIO, gzip.GzipFile(fileobj=stream))),
    (b"BZh", lambda stream: cast(BinaryIO, bz2.BZ2File(stream))),
    (b"\xfd7zXZ\x00", lambda stream: cast(BinaryIO, lzma.LZMAFile(stream))),  # noqa: SIM115
    (b"\x28\xb5\x2f\xfd", _zstandard),
)
