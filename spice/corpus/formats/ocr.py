"""Optical character recognition of scanned pages, with RapidOCR, whose models come with its package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spice.corpus.formats.base import missing_extra

_SCALE = 200 / 72  # dots per inch of the picture, over those of a PDF's unit


def page_reader() -> Callable[[Any], str]:
    """A function from a page of pypdfium2 to its text, lines from top to bottom.

    Raises:
        UnreadableError: the extra is not installed.
    """
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError as error:
        raise missing_extra("OCR of scanned pages (corpus.parsing.ocr)", "ocr") from error
    engine = RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)

    def read(page: Any) -> str:
        lines, _ = engine(page.render(scale=_SCALE).to_numpy())
        return "\n".join(line[1] for line in lines or ())

    return read
