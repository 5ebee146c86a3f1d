"""The rules of Gopher (Rae et al. 2021, arXiv 2112.11446, appendix A.1.1 and table A1)."""

from __future__ import annotations

import re

from spice.config import CorpusConfig
from spice.corpus.filters.measures import Text, duplicate_shares
from spice.corpus.filters.verdict import KEEP, Verdict

_STOP_WORDS = tuple(re.compile(rf"\b{word}\b") for word in "the be to of and that have with".split())
_BULLETS = ("•", "-", "*", "‣", "◦", "·")
_ELLIPSES = ("...", "…")


def gopher_quality(text: Text, config: CorpusConfig) -> Verdict:
    """Leave out what is too short, too long, or made of other things than words."""
    rules, words = config.quality.gopher_quality, text.words
    if not rules.least_words <= len(words) <= rules.most_words:
        return Verdict("too few words" if len(words) < rules.least_words else "too many words")
    count = max(1, len(words))
    if not rules.least_word_length <= words.lengths.sum() / count <= rules.most_word_length:
        return Verdict("words of unusual length")
    if text.judged.count("#") / count > rules.most_symbols:
        return Verdict("too many hash signs")
    if sum(map(text.judged.count, _ELLIPSES)) / count > rules.most_symbols:
        return Verdict("too many ellipses")
    lines = max(1, len(text.lines))
    if sum(line.startswith(_BULLETS) for line in text.lines) / lines > rules.most_bullet_lines:
        return Verdict("nothing but bullets")
    if sum(line.endswith(_ELLIPSES) for line in text.lines) / lines > rules.most_ellipsis_lines:
        return Verdict("too many lines end in an ellipsis")
    if words.alphabetic.sum() / count < rules.least_alphabetic_words:
        return Verdict("too many words without a letter")
    if sum(bool(word.search(text.lowered)) for word in _STOP_WORDS) < rules.least_stop_words:
        return Verdict("too few stop words")
    return KEEP


def gopher_repetition(text: Text, config: CorpusConfig) -> Verdict:
    """Leave out what repeats its own lines, paragraphs or phrases."""
    rules = config.quality.gopher_repetition
    lines, line_characters = duplicate_shares(text.lines)
    paragraphs, paragraph_characters = duplicate_shares(text.paragraphs)
    if lines > rules.most_duplicate_lines or line_characters > rules.most_duplicate_line_characters:
        return Verdict("repeated lines")
    if paragraphs > rules.most_duplicate_paragraphs or paragraph_characters > rules.most_duplicate_paragraph_characters:
        return Verdict("repeated paragraphs")
    for n, most in rules.top_ngrams:
        if text.words.top_run_share(n) > most:
            return Verdict(f"one run of {n} words again and again")
    for n, most in rules.duplicate_ngrams:
        if text.words.duplicate_run_share(n) > most:
            return Verdict(f"repeated runs of {n} words")
    return KEEP
