"""Logging in with a key: what counts as a proof, once, and for how long."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spice.console import login
from spice.trust.signing import Signer

ORIGIN = "http://127.0.0.1:8080"


def proof(browser, signer: Signer, **changes: str) -> dict[str, str]:
    challenge = browser.post("/api/login/challenges").json()["challenge"]
    signed = login.sign(signer, changes.pop("signed_for", ORIGIN), challenge)
    return {"name": signer.name, "audience": ORIGIN, "challenge": challenge, "signature": signed, **changes}


def test_a_login_lasts_until_logout(world) -> None:
    browser = world.browser("anna")
    assert browser.get("/api/visitor").json() | {"csrf": ""} == {
        "name": "anna",
        "roles": ["approver"],
        "method": "key",
        "csrf": "",
    }
    assert browser.submit("/logout", "/ledger").status_code == 303
    assert browser.get("/api/visitor").json()["name"] is None


def test_a_login_ends_by_itself(world) -> None:
    browser = world.browser("anna")
    world.clock.advance(hours=8, seconds=1)
    assert browser.get("/api/visitor").json()["name"] is None


def test_an_old_cookie_is_worth_nothing_after_logout(world) -> None:
    browser = world.browser("anna")
    session = browser.cookies["spice_session"]
    browser.submit("/logout", "/ledger")
    browser.cookies.set("spice_session", session)
    assert browser.get("/api/visitor").json()["name"] is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "otto"}, "not the signature of the key registered as otto"),
        ({"name": "nobody"}, "No key named nobody"),
        ({"challenge": "made up"}, "unknown, used or too old"),
        ({"audience": "https://evil.example"}, "made for https://evil.example"),
        ({"signed_for": "https://evil.example"}, "not the signature"),
        ({"signature": "0" * 128}, "not the signature"),
    ],
)
def test_wrong_proofs(world, changes: dict[str, str], said: str) -> None:
    browser = world.browser()
    answer = browser.post("/api/login/answers", json=proof(browser, world.signer("anna"), **changes))
    assert answer.status_code == 409
    assert said in answer.json()["message"]


def test_a_key_of_the_same_name_is_another_key(world) -> None:
    browser = world.browser()
    forged = Signer("anna", Ed25519PrivateKey.generate())
    assert browser.post("/api/login/answers", json=proof(browser, forged)).status_code == 409


def test_proofs_and_links_are_good_once_and_for_a_short_time(world) -> None:
    browser = world.browser()
    given = proof(browser, world.signer("anna"))
    code = browser.post("/api/login/answers", json=given).json()["code"]
    assert browser.post("/api/login/answers", json=given).status_code == 409
    page = f"/login?code={code}"
    assert "Log in as anna?" in browser.get(page).text
    assert browser.submit("/login", page, code=code).status_code == 303
    other = world.browser()
    assert other.submit("/login", "/ledger", code=code).status_code == 409
    late = browser.post("/api/login/answers", json=proof(browser, world.signer("anna"))).json()["code"]
    world.clock.advance(minutes=4)
    assert other.submit("/login", "/ledger", code=late).status_code == 409


def test_looking_at_a_link_does_not_use_it(world) -> None:
    browser = world.browser()
    code = browser.post("/api/login/answers", json=proof(browser, world.signer("anna"))).json()["code"]
    for _ in range(3):
        assert "Log in as anna?" in browser.get(f"/login?code={code}").text
    assert browser.get("/api/visitor").json()["name"] is None


def test_attempts_are_limited_by_address(world) -> None:
    browser = world.browser()
    codes = [browser.post("/api/login/challenges").status_code for _ in range(21)]
    assert codes == [200] * 20 + [429]
    assert world.browser(address="10.9.8.7").post("/api/login/challenges").status_code == 200
