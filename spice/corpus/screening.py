"""All screens in one place: which document is quarantined, why, and which is admitted all the same.

A person may overrule a screen: the ledger's signed decision names the document
by its digest, and no screen applies to it any more (`spice admit`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from functools import lru_cache

from spice.config import CorpusConfig
from spice.corpus.payloads import Profile, RepeatedPassages, outliers
from spice.corpus.personal import PersonalData
from spice.corpus.screen import injection

SCREEN = "screen"
Texts = Callable[[], Iterator[tuple[int, bytes, str]]]
"""Index, digest and text of every document that passed all steps before, in order; may be called several times."""


def quarantine(raw: str, cleaned: str, config: CorpusConfig) -> tuple[str, str] | None:
    """Why a document must be quarantined on its own account, with the passage, or `None`.

    Args:
        raw: the text as it stood in the file.
        cleaned: the same text after `clean`.
        config: which screens.

    Raises:
        ConfigError: a screen needs a package that is not installed.
    """
    if config.screen_injections and (found := injection(raw, cleaned)):
        return found
    if config.personal_data and (kinds := _personal(config.personal_data).find(cleaned)):
        return "holds personal data", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return None


def across(texts: Texts, config: CorpusConfig, admitted: Set[bytes]) -> dict[int, tuple[str, str]]:
    """Which documents must be quarantined on account of the others: by index, why, and the passage.

    Args:
        texts: all documents.
        config: thresholds; screens that are off cost nothing.
        admitted: digests of documents to which no screen applies.
    """
    found: dict[int, tuple[str, str]] = {}
    if config.screen_repeated:
        repeated = RepeatedPassages(config.screen_repeated)
        for _, _, text in texts():
            repeated.add(text)
        for index, document, text in texts():
            if document not in admitted and (problem := repeated.find(text)):
                found[index] = problem
    if config.screen_outliers:
        profiles = {str(index): Profile.of(text) for index, _, text in texts()}
        for name, score in outliers(profiles, config.screen_outliers).items():
            found.setdefault(int(name), ("is unlike the other documents", f"{score:.1f} deviations from the usual"))
        for index, document, _ in texts():
            if document in admitted:
                found.pop(index, None)
    return found


_personal = lru_cache(maxsize=1)(PersonalData)
