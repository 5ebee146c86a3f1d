"""When two sentences say the same of other figures."""

from __future__ import annotations

import re

_FIGURE = re.compile(r"\d+(\.\d+)?")


def wording(sentence: str) -> str:
    """The sentence with every figure replaced by the same: equal for sentences that differ in their figures only."""
    return _FIGURE.sub("0", sentence)
