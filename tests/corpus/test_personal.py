from __future__ import annotations

import importlib.util

import pytest

from spice.corpus import personal
from spice.errors import ConfigError

INSTALLED = importlib.util.find_spec("presidio_analyzer") is not None


@pytest.mark.skipif(INSTALLED, reason="Presidio is installed")
def test_without_presidio_the_option_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"spice-platform\[privacy\]"):
        personal.PersonalData()


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ConfigError, match="SHOE_SIZE is not among CREDIT_CARD"):
        personal.PersonalData(("SHOE_SIZE",))


@pytest.mark.skipif(not INSTALLED, reason="NO PRESIDIO: install the privacy extra to test personal data")
@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Pay with 4111 1111 1111 1111, please.", {"CREDIT_CARD": 1}),
        ("Pay with 4111 1111 1111 1112, please.", {}),
        ("Our account is DE89 3704 0044 0532 0130 00.", {"IBAN_CODE": 1}),
        ("The server 192.0.2.17 answers.", {"IP_ADDRESS": 1}),
        ("Write to anna.muster@example.com or to bob@example.org.", {"EMAIL_ADDRESS": 2}),
        ("The lake is 12 metres deep and 1,200 metres long.", {}),
    ],
)
def test_what_is_found(text: str, kinds: dict[str, int]) -> None:
    found = personal.PersonalData(("CREDIT_CARD", "IBAN_CODE", "IP_ADDRESS", "EMAIL_ADDRESS")).find(text)
    assert found == kinds
