"""Long lists in pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

PAGE = 25

T = TypeVar("T")


def cut(rows: Sequence[T], page: int, size: int = PAGE) -> tuple[Sequence[T], int, int]:
    """The rows of page `page` (from 1; beyond the end the last one), with its number and the number of pages."""
    pages = max(1, -(-len(rows) // size))
    page = min(max(1, page), pages)
    return rows[(page - 1) * size : page * size], page, pages
