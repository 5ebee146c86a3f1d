"""The filters in one place, and what one says of a document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spice.config import CorpusConfig
from spice.config.filtering import FilterName
from spice.corpus.clean import clean
from spice.corpus.filters.c4 import c4
from spice.corpus.filters.fineweb import fineweb
from spice.corpus.filters.gibberish import gibberish
from spice.corpus.filters.gopher import gopher_quality, gopher_repetition
from spice.corpus.filters.language import language
from spice.corpus.filters.measures import Text
from spice.corpus.filters.verdict import Verdict

Filter = Callable[[Text, CorpusConfig], Verdict]

FILTERS: dict[FilterName, Filter] = {
    "gibberish": gibberish,
    "gopher_repetition": gopher_repetition,
    "gopher_quality": gopher_quality,
    "c4": c4,
    "fineweb": fineweb,
}

_SAMPLE = 200


@dataclass(frozen=True)
class Judged:
    """What the filters made of a document.

    Attributes:
        raw: its text; lines that were taken out are blanks, so that positions stay true.
        cleaned: the same after `clean`.
        removed_by: name of the filter that leaves the document out, or "".
        reason: why.
        sample: its beginning, for people to look at.
        changed: names of the filters that took lines out.
        language: its language, if that was asked for.
    """

    raw: str
    cleaned: str
    removed_by: str = ""
    reason: str = ""
    sample: str = ""
    changed: tuple[str, ...] = ()
    language: str = ""


def judge(raw: str, cleaned: str, config: CorpusConfig) -> Judged:
    """Apply the filters that are on, in their order; the first to say no is the last that is asked."""
    steps: list[tuple[str, Filter]] = [(name, FILTERS[name]) for name in config.filters]
    if config.languages:
        steps.insert(0, ("language", language))
    found = ""
    changed: list[str] = []
    text = Text(raw, cleaned)
    for name, step in steps:
        verdict = step(text, config)
        found = verdict.language or found
        if verdict.reason:
            sample = " ".join(text.cleaned[: 2 * _SAMPLE].split())[:_SAMPLE]
            return Judged(text.raw, text.cleaned, name, verdict.reason, sample, tuple(changed), found)
        if verdict.raw is not None:
            changed.append(name)
            text = Text(verdict.raw, clean(verdict.raw))
    return Judged(text.raw, text.cleaned, changed=tuple(changed), language=found)
