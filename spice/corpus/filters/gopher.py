"""The rules of Gopher (Rae et al. 2021, arXiv 2112.11446, appendix A.1.1 and table A1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from spice.config import CorpusConfig
from spice.config.filtering import GopherQualityConfig, GopherRepetitionConfig
from spice.corpus.filters.measures import Text, duplicate_shares
from spice.corpus.filters.verdict import Verdict

_STOP_WORDS = tuple(re.compile(rf"\b{word}\b") for word in "the be to of and that have with".split())
_BULLETS = ("•", "-", "*", "‣", "◦", "·")
_ELLIPSES = ("...", "…")


def gopher_quality(text: Text, config: CorpusConfig) -> Verdict:
    """Leave out what is too short, too long, or made of other things than words."""
    return Verdict(next(_poor(text, config.quality.gopher_quality), ""))


def gopher_repetition(text: Text, config: CorpusConfig) -> Verdict:
    """Leave out what repeats its own lines, paragraphs or phrases."""
    return Verdict(next(_repetitive(text, config.quality.gopher_repetition), ""))


def _poor(text: Text, rules: GopherQualityConfig) -> Iterator[str]:
    words, lines, count = text.words, max(1, len(text.lines)), max(1, len(text.words))
    if len(words) < rules.least_words:
        yield "too few words"
    if len(words) > rules.most_words:
        yield "too many words"
    if not rules.least_word_length <= words.lengths.sum() / count <= rules.most_word_length:
        yield "words of unusual length"
    if text.judged.count("#") / count > rules.most_symbols:
        yield "too many hash signs"
    if sum(map(text.judged.count, _ELLIPSES)) / count > rules.most_symbols:
        yield "too many ellipses"
    if sum(line.startswith(_BULLETS) for line in text.lines) / lines > rules.most_bullet_lines:
        yield "nothing but bullets"
    if sum(line.endswith(_ELLIPSES) for line in text.lines) / lines > rules.most_ellipsis_lines:
        yield "too many lines end in an ellipsis"
    if words.alphabetic.sum() / count < rules.least_alphabetic_words:
        yield "too many words without a letter"
    found = (word for word in _STOP_WORDS if word.search(text.lowered))
    if len(list(islice(found, rules.least_stop_words))) < rules.least_stop_words:
        yield "too few stop words"


def _repetitive(text: Text, rules: GopherRepetitionConfig) -> Iterator[str]:
    lines, line_characters = duplicate_shares(text.lines)
    if lines > rules.most_duplicate_lines or line_characters > rules.most_duplicate_line_characters:
        yield "repeated lines"
    paragraphs, characters = duplicate_shares(text.paragraphs)
    if paragraphs > rules.most_duplicate_paragraphs or characters > rules.most_duplicate_paragraph_characters:
        yield "repeated paragraphs"
    for n, most in rules.top_ngrams:
        if text.words.top_run_share(n) > most:
            yield f"one run of {n} words again and again"
    for n, most in sorted(rules.duplicate_ngrams):
        share = text.words.duplicate_run_share(n)
        if share > most:
            yield f"repeated runs of {n} words"
        # What repeats in longer runs repeats in shorter ones too, so the share only falls from here on.
        if share <= min(limit for _, limit in rules.duplicate_ngrams):
            break
