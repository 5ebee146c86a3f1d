"""What a filter says of a document."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Keep it, leave it out for a reason, or take lines out of it."""

    reason: str = ""
    """Why it is left out, one of a few fixed phrases; empty keeps it."""
    raw: str | None = None
    """The raw text with lines replaced by blanks, if any were."""
    language: str = ""
    """What language it is in, if the filter found out."""


KEEP = Verdict()
