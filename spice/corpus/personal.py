"""Personal data: names of what was found and how often, by Presidio's pattern recognisers.

An option (`corpus.personal_data`), since most corpora are meant to hold some.
Only recognisers that go by patterns and check sums are used: they need no
language model and no network. Names of people and places are not among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from spice.errors import ConfigError

KINDS = ("CREDIT_CARD", "CRYPTO", "IBAN_CODE", "IP_ADDRESS", "PHONE_NUMBER", "US_SSN", "UK_NHS", "EMAIL_ADDRESS")
_MIN_SCORE = 0.5
_CHUNK = 100_000


class PersonalData:
    """Finds personal data in text.

    Args:
        kinds: which, of `KINDS`.

    Raises:
        ConfigError: Presidio is not installed, or a kind is unknown.
    """

    def __init__(self, kinds: Sequence[str] = KINDS) -> None:
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise ConfigError(f"corpus.personal_data: {', '.join(unknown)} is not among {', '.join(KINDS)}")
        self._recognisers = _recognisers(kinds)

    def find(self, text: str) -> dict[str, int]:
        """How often each kind stands in a text; kinds that do not are left out. Values are never returned."""
        found: Counter[str] = Counter()
        for start in range(0, len(text), _CHUNK):
            part = text[start : start + _CHUNK]
            for kind, recogniser in self._recognisers.items():
                results = recogniser.analyze(part, [kind], nlp_artifacts=None) or []
                found[kind] += sum(result.score >= _MIN_SCORE for result in results)
        return {kind: count for kind, count in found.items() if count}


def _recognisers(kinds: Sequence[str]) -> dict[str, Any]:
    try:
        from presidio_analyzer import predefined_recognizers as known
        from tldextract import TLDExtract
    except ImportError as error:
        raise ConfigError("corpus.personal_data needs Presidio: pip install 'spice-platform[privacy]'") from error
    domains = TLDExtract(suffix_list_urls=(), cache_dir=None)

    class OfflineEmailRecognizer(known.EmailRecognizer):  # type: ignore[misc]
        """Presidio's own would fetch the list of public suffixes; the copy in the package does."""

        def validate_result(self, pattern_text: str) -> bool:
            return bool(domains(pattern_text).top_domain_under_public_suffix)

    makers = {
        "CREDIT_CARD": known.CreditCardRecognizer,
        "CRYPTO": known.CryptoRecognizer,
        "EMAIL_ADDRESS": OfflineEmailRecognizer,
        "IBAN_CODE": known.IbanRecognizer,
        "IP_ADDRESS": known.IpRecognizer,
        "PHONE_NUMBER": known.PhoneRecognizer,
        "UK_NHS": known.NhsRecognizer,
        "US_SSN": known.UsSsnRecognizer,
    }
    return {kind: makers[kind]() for kind in kinds}
