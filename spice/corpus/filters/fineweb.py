"""The rules of FineWeb (Penedo et al. 2024, arXiv 2406.17557, section 3.5)."""

from __future__ import annotations

from spice.config import CorpusConfig
from spice.corpus.filters.measures import Text, duplicate_shares
from spice.corpus.filters.verdict import KEEP, Verdict

_STOPS = tuple(".!?。！？…\"'”’।؟")


def fineweb(text: Text, config: CorpusConfig) -> Verdict:
    """Leave out lists, menus and what repeats its lines."""
    rules, lines = config.quality.fineweb, text.lines
    if not lines:
        return Verdict("no lines")
    if sum(line.endswith(_STOPS) for line in lines) / len(lines) < rules.least_punctuated_lines:
        return Verdict("too few lines end in punctuation")
    if sum(len(line) <= rules.short_line for line in lines) / len(lines) > rules.most_short_lines:
        return Verdict("too many short lines")
    if duplicate_shares(lines)[1] > rules.most_duplicate_line_characters:
        return Verdict("repeated lines")
    if text.judged.count("\n") / max(1, len(text.words)) > rules.most_line_breaks:
        return Verdict("too many line breaks")
    return KEEP
