"""Which documents training never sees."""

from __future__ import annotations

import hashlib


def is_held_out(document_id: str, share: float) -> bool:
    """Whether a document is kept from training: by its content alone, so that a growing corpus changes nothing.

    Args:
        document_id: SHA-256 of its cleaned text, in hexadecimal.
        share: of all documents, from 0 to 1.
    """
    drawn = hashlib.sha256(f"spice-held-out{document_id}".encode()).hexdigest()[:8]
    return int(drawn, 16) / 2**32 < share
