"""Who may do what in the console, and that all of it is in the ledger under their name."""

from __future__ import annotations

import pytest
from fastapi.routing import APIRoute

from spice.console import api_actions, forms
from spice.console.identity import Door
from spice.promotion import approval, release
from spice.promotion.log import ReleaseLog
from spice.promotion.switch import status
from spice.trust.ledger import Entry

ORIGIN = "http://127.0.0.1:8080"
NOBODY = "0" * 64

# Every route that acts: form, page with the form, fields, who may.
FORMS = [
    ("/requests/{ref}/approve", {"reason": "fine"}, "anna"),
    ("/requests/{ref}/reject", {"reason": "no"}, "anna"),
    ("/requests/{ref}/promote", {}, "lena"),
    ("/rollback", {"live": "{live}", "reason": "complaints"}, "lena"),
    ("/switch/engage", {"reason": "it lies"}, "otto"),
    ("/switch/release", {"reason": "explained"}, "otto"),
]
CALLS = [
    ("/api/requests/{ref}/verdicts", {"verdict": "approve", "reason": "fine"}, "anna"),
    ("/api/requests/{ref}/promotion", None, "lena"),
    ("/api/rollback", {"live": "{live}", "reason": "complaints"}, "lena"),
    ("/api/switch/engage", {"reason": "it lies"}, "otto"),
    ("/api/switch/release", {"reason": "explained"}, "otto"),
]
LOGIN = {"/login", "/logout", "/ledger/verify", "/api/login/challenges", "/api/login/answers"}


@pytest.fixture
def stage(world):
    """Sets the stage for an action and fills in its address and fields."""

    def prepare(address: str, fields: dict[str, str] | None) -> tuple[str, dict[str, str] | None]:
        ref = world.requested()
        if "promot" in address or "rollback" in address:
            approve(world, ref)
        if "rollback" in address:
            release.promote(world.store, ref, world.signer("lena"), world.config.promotion, world.clock)
        if "switch/release" in address:
            world.browser("olga").submit("/switch/engage", "/switch", reason="drill")
        live = status(world.store).live or ""
        live = live if not address.startswith("/api") else live.rpartition("/")[2] or NOBODY
        filled = {name: value.format(live=live) for name, value in fields.items()} if fields is not None else None
        return address.format(ref=ref.removeprefix("requests/")), filled

    return prepare


def approve(world, ref: str) -> None:
    approval.approve(world.store, ref, world.signer("anna"), 168, world.clock)


def entries(world) -> list[Entry]:
    found: list[Entry] = []
    ReleaseLog(world.store, found.append)
    return found


def test_every_acting_route_is_in_these_tables() -> None:
    acting = {
        route.path
        for route in (*forms.router.routes, *api_actions.router.routes)
        if isinstance(route, APIRoute) and "POST" in route.methods
    }
    assert {path.replace("{digest}", "{ref}") for path in acting} == {path for path, *_ in (*FORMS, *CALLS)} | LOGIN


def test_from_request_to_live_and_back(world) -> None:
    ref = world.requested()
    page = f"/{ref}"
    assert "0 of 1 approvals" in world.browser().get(page).text
    done = world.browser("anna").submit(f"{page}/approve", page, reason="read ten answers")
    assert done.status_code == 303, done.text
    shown = world.browser().get(done.headers["location"]).text
    assert "You approved" in shown
    assert "read ten answers" in shown
    assert world.browser("lena").submit(f"{page}/promote", page).status_code == 303
    live = status(world.store).live
    assert live is not None
    assert f"Checkpoint {live[12:24]} is live" in world.browser().get("/").text
    assert world.browser("lena").submit("/rollback", "/rollback", live=live, reason="complaints").status_code == 303
    assert status(world.store).live is None
    assert [(one.person, one.action) for one in entries(world)][-3:] == [
        ("anna", "approve"),
        ("lena", "release"),
        ("lena", "rollback"),
    ]
    assert {one.actor for one in entries(world)[-3:]} == {"console"}


@pytest.mark.parametrize(("address", "fields", "who"), FORMS, ids=[path for path, *_ in FORMS])
def test_forms_without_with_wrong_and_with_right_rights(world, stage, address: str, fields, who: str) -> None:
    address, fields = stage(address, fields)
    before = entries(world)
    stranger = world.browser()
    assert stranger.submit(address, "/ledger", **fields).status_code == 401
    assert entries(world) == before
    wrong = world.browser("rita").submit(address, "/ledger", **fields)
    assert wrong.status_code == 403
    assert "needs the role" in wrong.text
    assert all(one.action == "refused" and one.person == "rita" for one in entries(world)[len(before) :])
    right = world.browser(who).submit(address, "/ledger", **fields)
    assert right.status_code == 303, right.text
    assert entries(world)[-1].person == who
    assert entries(world)[-1].action != "refused"


@pytest.mark.parametrize(("address", "body", "who"), CALLS, ids=[path for path, *_ in CALLS])
def test_calls_without_with_wrong_and_with_right_rights(world, stage, address: str, body, who: str) -> None:
    address, body = stage(address, body)

    def call(browser):
        token = browser.get("/api/visitor").json()["csrf"] or ""
        return browser.post(address, json=body, headers={"Origin": ORIGIN, "X-CSRF-Token": token})

    def visiting(name: str | None):
        browser = world.browser(name)
        browser.get("/")  # hands out the cookie
        return browser

    assert call(visiting(None)).status_code == 401
    assert call(visiting("rita")).status_code == 403
    done = call(visiting(who))
    assert done.status_code == 200, done.text
    assert entries(world)[-1].person == who


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, None),
        ({"Origin": "https://evil.example"}, None),
        ({"Origin": "null"}, None),
        ({"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}, None),
        ({"Origin": ORIGIN}, ""),
        ({"Origin": ORIGIN}, "0" * 64),
    ],
    ids=["no origin", "another site", "null", "cross-site", "no token", "wrong token"],
)
def test_requests_from_elsewhere_are_refused(world, headers: dict[str, str], token: str | None) -> None:
    browser = world.browser("otto")
    data = {"reason": "x", "token": browser.token("/switch") if token is None else token}
    assert browser.post("/switch/engage", data=data, headers=headers).status_code == 403
    assert not status(world.store).engaged


def test_the_token_of_another_person_or_session_is_worth_nothing(world) -> None:
    otto, olga = world.browser("otto"), world.browser("olga")
    data = {"reason": "x", "token": olga.token("/switch")}
    assert otto.post("/switch/engage", data=data, headers={"Origin": ORIGIN}).status_code == 403
    before = otto.token("/switch")
    otto.submit("/logout", "/ledger")
    otto.log_in(world.signer("otto"))
    data = {"reason": "x", "token": before}
    assert otto.post("/switch/engage", data=data, headers={"Origin": ORIGIN}).status_code == 403


def test_actions_are_limited_but_stopping_has_an_allowance_of_its_own(world) -> None:
    ref = world.requested()
    world.restart(actions_per_minute=2)
    otto = world.browser("otto")
    codes = [otto.submit(f"/{ref}/approve", "/ledger").status_code for _ in range(3)]
    assert codes == [403, 403, 429]
    assert int(otto.submit(f"/{ref}/approve", "/ledger").headers["Retry-After"]) <= 30
    assert otto.submit("/switch/engage", "/switch", reason="now").status_code == 303
    world.clock.advance(seconds=31)
    assert otto.submit(f"/{ref}/approve", "/ledger").status_code == 403


def test_who_asked_cannot_approve_and_a_rejection_is_final(world) -> None:
    ref = world.requested()
    world.config = world.config.model_copy()
    anna = world.browser("anna")
    assert anna.submit(f"/{ref}/reject", f"/{ref}", reason=" ").status_code == 409
    assert anna.submit(f"/{ref}/reject", f"/{ref}", reason="wrong answers").status_code == 303
    shown = world.browser("anna").get(f"/{ref}").text
    assert "anna rejected it. That is final" in shown
    assert anna.submit(f"/{ref}/approve", "/ledger").status_code == 409


def test_a_rollback_is_of_what_the_person_saw(world) -> None:
    ref = world.requested()
    approve(world, ref)
    release.promote(world.store, ref, world.signer("lena"), world.config.promotion, world.clock)
    done = world.browser("lena").submit("/rollback", "/rollback", live=f"checkpoints/{NOBODY}", reason="x")
    assert done.status_code == 409
    assert "Look, and decide again" in done.text


def test_two_operators_release_the_switch(world) -> None:
    otto, olga = world.browser("otto"), world.browser("olga")
    assert otto.submit("/switch/engage", "/switch").status_code == 303
    page = world.browser().get("/runs").text
    assert "Kill-switch engaged" in page
    assert otto.submit("/switch/release", "/switch", reason="explained").status_code == 303
    assert status(world.store).engaged
    assert otto.submit("/switch/release", "/switch", reason="again").status_code == 409
    assert olga.submit("/switch/release", "/switch", reason="agreed").status_code == 303
    assert not status(world.store).engaged


def test_a_tampered_ledger_is_shown_and_every_action_but_stopping_refused(world) -> None:
    ref = world.requested()
    anna, otto = world.browser("anna"), world.browser("otto")
    token = anna.token("/ledger")
    key = sorted(info.key for info in world.store.list("ledger/"))[1]
    world.store.put(key, world.store.get(key).replace(b"rita", b"olga"))
    world.clock.advance(seconds=10)
    page = anna.get("/ledger")
    assert page.status_code == 200
    assert "The ledger is not what was written" in page.text
    assert "Ledger entry 1" in page.text
    assert "Every action is refused" in anna.get("/").text
    assert not anna.get("/api/ledger").json()["state"]["sound"]
    assert anna.get("/api/switch").json()["engaged"]
    for address in (f"/{ref}/approve", f"/{ref}/promote"):
        assert anna.post(address, data={"token": token}, headers={"Origin": ORIGIN}).status_code in (409, 503)
    assert otto.submit("/switch/engage", "/switch", reason="tampered").status_code == 303
    assert status(world.store).by == "otto"


def test_a_change_to_an_entry_read_long_ago_is_found(world) -> None:
    browser = world.browser()
    assert "The ledger is sound" in browser.get("/ledger").text
    key = sorted(info.key for info in world.store.list("ledger/"))[2]
    data = world.store.get(key)
    world.store.put(key, data[:-20] + b"0" * 18 + data[-2:])
    done = browser.submit("/ledger/verify", "/ledger")
    assert "NOT sound" in browser.get(done.headers["location"]).text


def test_a_console_without_a_key_says_how_to_get_one(world) -> None:
    (world.home / "keys" / "console.pem").unlink()
    done = world.browser("otto").submit("/switch/engage", "/switch")
    assert done.status_code == 409
    assert "spice keys create console" in done.text


def test_a_gateway_is_believed_from_its_own_address_only(world) -> None:
    header = {"kubeflow-userid": "otto"}
    assert world.browser().get("/api/visitor", headers=header).json()["name"] is None
    world.restart(proxies=("10.0.0.0/24",), roles=("guest@example.org=operator",))
    inside, outside = world.browser(address="10.0.0.7"), world.browser(address="10.0.1.7")
    assert inside.get("/api/visitor", headers=header).json()["method"] == "header"
    assert outside.get("/api/visitor", headers=header).json()["name"] is None
    assert inside.get("/api/visitor", headers={"kubeflow-userid": "guest@example.org"}).json()["roles"] == ["operator"]
    assert inside.get("/api/visitor", headers={"kubeflow-userid": "stranger"}).json()["name"] is None
    inside.headers.update({"kubeflow-userid": "guest@example.org"})
    assert inside.submit("/switch/engage", "/switch", reason="seen on call").status_code == 303
    last = entries(world)[-1]
    assert (last.actor, last.person) == ("console", "guest@example.org")
    assert last.body["on_behalf_of"]["issuer"] == "10.0.0.7"


@pytest.mark.parametrize("changes", [{"proxies": ("gateway",)}, {"roles": ("anna",)}, {"roles": ("anna=king",)}])
def test_settings_that_cannot_be_meant_are_refused(world, changes) -> None:
    from spice.errors import ConfigError

    with pytest.raises(ConfigError, match="console"):
        Door(world.store, world.config.console.model_copy(update=changes), world.console.sessions, ORIGIN)
