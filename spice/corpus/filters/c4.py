"""The rules of C4 (Raffel et al. 2020, arXiv 1910.10683, section 2.2)."""

from __future__ import annotations

import re

from spice.config import CorpusConfig
from spice.config.filtering import C4Config
from spice.corpus.clean import clean
from spice.corpus.filters.measures import Text
from spice.corpus.filters.verdict import KEEP, Verdict

_TERMINAL = (".", "!", "?", '"', "”", "’", "'")
_POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_SENTENCE_END = re.compile(r"[.!?]++[\"'”’)\]]*+(?=\s|$)")


def c4(text: Text, config: CorpusConfig) -> Verdict:
    """Take out lines that are no sentences, scripts or legal notes; leave out what then has too few sentences."""
    rules = config.quality.c4
    if "lorem ipsum" in text.lowered:
        return Verdict("lorem ipsum")
    if "{" in text.cleaned:
        return Verdict("curly bracket")
    lines = text.raw.split("\n")
    kept = [line if _keeps(line, rules) else " " * len(line) for line in lines]
    raw = "\n".join(kept)
    sentences = len(_SENTENCE_END.findall(raw)) if kept != lines else len(_SENTENCE_END.findall(text.cleaned))
    if sentences < rules.least_sentences:
        return Verdict("too few sentences")
    return Verdict(raw=raw) if kept != lines else KEEP


def _keeps(line: str, rules: C4Config) -> bool:
    shown = clean(line)
    if not shown:
        return True
    words = shown.split()
    lowered = shown.lower()
    return (
        len(words) >= rules.least_line_words
        and max(map(len, words)) <= rules.longest_word
        and (not rules.terminal_punctuation or (shown.endswith(_TERMINAL) and not shown.endswith("...")))
        and "javascript" not in lowered
        and not any(policy in lowered for policy in _POLICIES)
    )
