"""Text that is no language: keys, encoded files, dumps of memory."""

from __future__ import annotations

import re

from spice.config import CorpusConfig
from spice.corpus.filters.measures import Text
from spice.corpus.filters.verdict import KEEP, Verdict

# ASCII only: scripts without blanks between words are not gibberish.
_LONG_RUN = re.compile(r"[A-Za-z0-9+/=_-]{41,}+")
_ORDINARY = 40


def gibberish(text: Text, config: CorpusConfig) -> Verdict:
    """Leave out what mostly consists of long runs of letters and digits without a blank."""
    if max(map(len, text.judged.split()), default=0) <= _ORDINARY:
        return KEEP
    inside = sum(map(len, _LONG_RUN.findall(text.judged)))
    return Verdict("encoded data") if inside > len(text.judged) * config.quality.gibberish.most_long_runs else KEEP
