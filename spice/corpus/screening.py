"""All screens in one place: which document is quarantined, why, and which is admitted all the same.

A person may overrule a screen: the ledger's signed decision names the document
by its digest, and no screen applies to it any more (`spice admit`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from functools import lru_cache
from pathlib import Path

from spice.config import CorpusConfig
from spice.corpus.frequent import frequent
from spice.corpus.payloads import Profile, outliers, passage_hashes, repeated_passage
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


def across(texts: Texts, config: CorpusConfig, admitted: Set[bytes], folder: Path) -> dict[int, tuple[str, str]]:
    """Which documents must be quarantined on account of the others: by index, why, and the passage.

    Args:
        texts: all documents.
        config: thresholds; screens that are off cost nothing.
        admitted: digests of documents to which no screen applies.
        folder: for the passages of all documents; is made, and empty afterwards.
    """
    found: dict[int, tuple[str, str]] = {}
    if config.screen_repeated:
        hashes = (passage_hashes(text) for _, _, text in texts())
        passages, counts = frequent(hashes, config.screen_repeated, folder)
        holders = dict(zip(passages.tolist(), counts.tolist(), strict=True))
        for index, _, text in texts():
            if problem := repeated_passage(text, holders):
                found[index] = problem
    if config.screen_outliers:
        scores = outliers(lambda: (Profile.of(text) for _, _, text in texts()), config.screen_outliers)
        for number, (index, _, _) in enumerate(texts() if scores else ()):
            if number in scores:
                why = "is unlike the other documents", f"{scores[number]:.1f} deviations from the usual"
                found.setdefault(index, why)
    if found and admitted:
        for index, document, _ in texts():
            if document in admitted:
                found.pop(index, None)
    return found


_personal = lru_cache(maxsize=1)(PersonalData)
