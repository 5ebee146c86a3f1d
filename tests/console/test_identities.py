"""People whom others vouch for: an OpenID Connect provider, and a cluster that is asked about tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from spice.console import federation
from spice.console.tokenreview import Reviewer
from spice.errors import ConfigError
from spice.promotion.log import ReleaseLog
from spice.trust.enrol import enrol
from spice.trust.keys import create_signer

ORIGIN = "http://127.0.0.1:8080"
CLIENT, CLIENT_SECRET = "spice", "s3cret: of/the client"


@dataclass
class Vouching:
    """A provider and an API server on one port. What they say can be changed, so that lies can be told."""

    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}))
    user: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    review: dict[str, Any] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.codes: dict[str, dict[str, str]] = {}
        self.exchanged: list[str] = []
        self.forget()

    def forget(self) -> None:
        """What it says by default."""
        self.user = {"sub": "1", "email": "anna@example.org", "email_verified": True, "groups": ["ml-leads"]}
        self.about, self.review = {}, {"authenticated": True, "audiences": ["spice-console"]}
        self.asked.clear()
        self.published = [self.key]

    def token(self, now: float, key: RSAKey | None = None, **changes: Any) -> str:
        """A signed ID token; a change to `None` leaves a claim out."""
        claims = {"iss": self.url, "aud": CLIENT, "iat": int(now), "exp": int(now) + 300, **self.user, **changes}
        claims = {name: value for name, value in claims.items() if value is not None}
        key = key or self.key
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)

    def app(self, clock) -> Starlette:
        def metadata(request: Request) -> Response:
            said = {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
            }
            return JSONResponse(said | self.about)

        def keys(request: Request) -> Response:
            return JSONResponse({"keys": [key.as_dict(private=False) for key in self.published]})

        def authorize(request: Request) -> Response:
            code = f"code-{len(self.codes)}"
            self.codes[code] = dict(request.query_params)
            back = self.codes[code]["redirect_uri"]
            return RedirectResponse(f"{back}?code={code}&state={self.codes[code]['state']}")

        async def token(request: Request) -> Response:
            form = await request.form()
            asked = self.codes.pop(str(form["code"]), None)
            proof = encoded(hashlib.sha256(str(form["code_verifier"]).encode()).digest())
            pair = base64.b64encode(b"spice:s3cret%3A%20of%2Fthe%20client").decode()
            good = (
                asked is not None
                and asked["code_challenge_method"] == "S256"
                and asked["code_challenge"] == proof
                and asked["redirect_uri"] == form["redirect_uri"]
                and request.headers.get("authorization") == f"Basic {pair}"
            )
            if not good:
                return JSONResponse({"error": "invalid_grant"}, 400)
            assert asked is not None
            self.exchanged.append(asked["nonce"])
            return JSONResponse({"id_token": self.token(clock.seconds(), nonce=asked["nonce"]), "token_type": "Bearer"})

        async def review(request: Request) -> Response:
            body = await request.json()
            self.asked.append({"spec": body["spec"], "by": request.headers["authorization"]})
            known = {"user": {"username": "system:serviceaccount:ml:bot", "groups": ["system:serviceaccounts"]}}
            status = (known | self.review) if body["spec"]["token"] == "cluster-token" else {"error": "unknown"}
            return JSONResponse({**body, "status": status}, 201)

        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", metadata),
                Route("/keys", keys),
                Route("/authorize", authorize),
                Route("/token", token, methods=["POST"]),
                Route("/apis/authentication.k8s.io/v1/tokenreviews", review, methods=["POST"]),
            ]
        )


class MovingClock:
    """The clock of whichever world is under test."""

    def __init__(self) -> None:
        self.world: Any = None

    def seconds(self) -> float:
        return float(self.world.clock.seconds())


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Vouching, MovingClock]]:
    vouching, clock = Vouching(), MovingClock()
    server = uvicorn.Server(uvicorn.Config(vouching.app(clock), "127.0.0.1", 0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    vouching.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield vouching, clock
    server.should_exit = True
    thread.join()


@pytest.fixture
def vouching(served, world, monkeypatch) -> Vouching:
    """The world's console believes the provider; anna may approve."""
    found, clock = served
    clock.world = world
    found.forget()
    monkeypatch.setenv(federation.SECRET, CLIENT_SECRET)
    world.restart(url=ORIGIN, oidc_issuer=found.url, oidc_client=CLIENT, roles=("anna@example.org=approver",))
    return found


def login(world, browser=None):
    """Go to the provider and come back; returns the last answer."""
    browser = browser or world.browser()
    away = browser.get("/login/oidc")
    assert away.status_code == 303
    return browser, browser.get(_back(away.headers["location"]))


def _back(address: str) -> str:
    """Where the provider sends a browser that comes to `address`."""
    import httpx

    answer = httpx.get(address)
    assert answer.status_code == 307, answer.text
    return answer.headers["location"].removeprefix(ORIGIN)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def visitor(browser, **headers: str) -> dict[str, Any]:
    return browser.get("/api/visitor", headers=headers).json()


class TestLogin:
    def test_there_and_back(self, world, vouching) -> None:
        browser, answer = login(world)
        assert answer.status_code == 200
        assert "anna@example.org" in answer.text
        assert visitor(browser) | {"csrf": ""} == {
            "name": "anna@example.org",
            "roles": ["approver"],
            "method": "oidc",
            "csrf": "",
        }
        assert "Log out" in browser.get("/").text
        assert browser.submit("/logout", "/ledger").status_code == 303
        assert visitor(browser)["name"] is None

    def test_the_cookie_that_binds_both_ends(self, world, vouching) -> None:
        browser = world.browser()
        cookie = browser.get("/login/oidc").headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Path=/login/oidc" in cookie

    def test_what_is_asked_of_the_provider(self, world, vouching) -> None:
        address = urlsplit(world.browser().get("/login/oidc").headers["location"])
        asked = parse_qs(address.query)
        assert asked["response_type"] == ["code"]
        assert asked["scope"] == ["openid email profile"]
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["redirect_uri"] == [f"{ORIGIN}/login/oidc/return"]

    def test_approving_is_entered_with_who_vouched(self, world, vouching) -> None:
        request = world.requested()
        browser, _ = login(world)
        page = f"/{request}"
        assert browser.submit(f"{page}/approve", page, reason="read it").status_code == 303
        entries = []
        ReleaseLog(world.store, entries.append)
        assert entries[-1].actor == "console"
        assert entries[-1].body["on_behalf_of"] == {
            "name": "anna@example.org",
            "method": "oidc",
            "issuer": vouching.url,
            "roles": ["approver"],
            "groups": ["ml-leads"],
        }

    def test_another_browser_cannot_end_it(self, world, vouching) -> None:
        back = _back(world.browser().get("/login/oidc").headers["location"])
        other = world.browser()
        assert other.get(back).status_code == 401
        other.get("/login/oidc")  # has a cookie of its own now
        assert other.get(back).status_code == 401
        assert visitor(other)["name"] is None

    def test_an_end_is_good_once_and_for_a_short_time(self, world, vouching) -> None:
        browser = world.browser()
        back = _back(browser.get("/login/oidc").headers["location"])
        cookies = dict(browser.cookies)
        assert browser.get(back).status_code == 200
        again = world.browser()
        again.cookies.update(cookies)
        assert again.get(back).status_code == 401
        late = _back(again.get("/login/oidc").headers["location"])
        world.clock.advance(minutes=11)
        assert again.get(late).status_code == 401

    def test_a_code_of_somebody_else_is_refused_by_the_provider(self, world, vouching) -> None:
        mine, theirs = world.browser(), world.browser()
        stolen = parse_qs(urlsplit(_back(theirs.get("/login/oidc").headers["location"])).query)["code"][0]
        state = parse_qs(urlsplit(mine.get("/login/oidc").headers["location"]).query)["state"][0]
        answer = mine.get(f"/login/oidc/return?code={stolen}&state={state}")
        assert answer.status_code == 503
        assert visitor(mine)["name"] is None

    @pytest.mark.parametrize(
        "query", ["error=access_denied", "", "code=x&state=made-up", "code=x&state=y&iss=https://evil"]
    )
    def test_other_ways_back(self, world, vouching, query: str) -> None:
        assert world.browser().get(f"/login/oidc/return?{query}").status_code == 401

    def test_somebody_without_a_role_is_told_so(self, world, vouching) -> None:
        vouching.user["email"] = "eve@example.org"
        browser, answer = login(world)
        assert answer.status_code == 401
        assert "whom nobody gave a role" in answer.text
        assert "spice_session" not in browser.cookies

    def test_the_page_offers_it_only_where_it_is_set_up(self, world, served) -> None:
        assert "/login/oidc" not in world.browser().get("/login").text
        assert world.browser().get("/login/oidc").status_code == 401

    def test_a_provider_that_is_gone(self, world, vouching) -> None:
        world.restart(oidc_issuer="http://127.0.0.1:9")
        assert world.browser().get("/login/oidc").status_code == 503

    @pytest.mark.parametrize(
        "change", [{"issuer": "https://evil.example"}, {"token_endpoint": "http://evil.example/t"}]
    )
    def test_a_provider_that_speaks_for_another(self, world, vouching, change: dict[str, str]) -> None:
        vouching.about = change
        assert world.browser().get("/login/oidc").status_code == 503


class TestRoles:
    def test_groups_give_roles(self, world, vouching) -> None:
        world.restart(roles=(), group_roles=("ml-leads=releaser+approver", "others=operator"))
        browser, _ = login(world)
        assert visitor(browser)["roles"] == ["approver", "releaser"]

    def test_an_unverified_address_names_nobody(self, world, vouching) -> None:
        vouching.user["email_verified"] = False
        assert login(world)[1].status_code == 401

    def test_nobody_becomes_the_owner_of_a_key_by_being_called_like_it(self, world, vouching) -> None:
        world.restart(
            oidc_user_claim="preferred_username", roles=("otto=operator",), group_roles=("ml-leads=operator",)
        )
        vouching.user["preferred_username"] = "otto"
        assert login(world)[1].status_code == 401

    def test_a_key_with_that_identity_says_what_they_may_do_from_then_on(self, world, vouching) -> None:
        browser, _ = login(world)
        assert visitor(browser)["roles"] == ["approver"]
        signer = create_signer("ann", world.home / "people")
        root = world.signer("root")
        enrol(world.store, signer, ["operator"], world.clock, root, identities=["anna@example.org"])
        assert visitor(browser) | {"csrf": ""} == {"name": "ann", "roles": ["operator"], "method": "oidc", "csrf": ""}


class TestBearer:
    def ask(self, world, token: str, **kwargs: Any):
        return world.browser().get("/api/visitor", headers={"Authorization": f"Bearer {token}"}, **kwargs)

    def test_an_id_token_of_this_client(self, world, vouching) -> None:
        answer = self.ask(world, vouching.token(world.clock.seconds()))
        assert answer.json()["name"] == "anna@example.org"

    def test_acting_needs_no_page(self, world, vouching) -> None:
        digest = world.requested().rpartition("/")[2]
        answer = world.browser().post(
            f"/api/requests/{digest}/verdicts",
            json={"verdict": "approve"},
            headers={"Authorization": f"Bearer {vouching.token(world.clock.seconds())}"},
        )
        assert answer.status_code == 200, answer.text

    @pytest.mark.parametrize(
        "changes",
        [
            {"aud": "another-client"},
            {"aud": ["spice", "another-client"]},  # and no azp that says for whom
            {"aud": ["spice", "another-client"], "azp": "another-client"},
            {"aud": None},
            {"exp": 1},
            {"exp": None},
            {"iss": "https://evil.example"},
            {"iss": None},
            {"email": None},
            {"email": ["anna@example.org"]},
            {"email_verified": "true"},
            {"nbf": 4102444800},
        ],
        ids=str,
    )
    def test_wrong_claims(self, world, vouching, changes: dict[str, Any]) -> None:
        assert self.ask(world, vouching.token(world.clock.seconds(), **changes)).status_code == 401

    def test_wrong_signatures(self, world, vouching) -> None:
        now = world.clock.seconds()
        stranger = RSAKey.generate_key(2048, {"kid": "one"})
        head, payload, signature = vouching.token(now).split(".")
        none, confused = encoded(b'{"alg":"none"}'), encoded(b'{"alg":"HS256","kid":"one"}')
        public = vouching.key.as_pem(private=False)  # as the secret of a symmetric signature
        forged = encoded(hmac.digest(public, f"{confused}.{payload}".encode(), "sha256"))
        for token in (
            vouching.token(now, stranger),
            f"{confused}.{payload}.{forged}",
            f"{none}.{payload}.",
            f"{head}.{payload}.{signature[:-4]}AAAA",
            f"{head}.{payload}",
            "",
            "x",
            "a.b.c",
        ):
            assert self.ask(world, token).status_code == 401, token

    def test_new_keys_are_learned_and_unknown_ones_not_asked_for_all_the_time(self, world, vouching) -> None:
        now = world.clock.seconds()
        assert self.ask(world, vouching.token(now)).status_code == 200
        new = RSAKey.generate_key(2048, {"kid": "two", "use": "sig"})
        vouching.published = [vouching.key, new]
        assert self.ask(world, vouching.token(now, new)).status_code == 401  # looked a moment ago
        world.clock.advance(seconds=31)
        assert self.ask(world, vouching.token(world.clock.seconds(), new)).status_code == 200

    def test_unknown_tokens_are_limited_by_address(self, world, vouching) -> None:
        statuses = [self.ask(world, f"token-{number}").status_code for number in range(121)]
        assert set(statuses[:120]) == {401}
        assert statuses[120] == 429

    def test_without_issuers_tokens_mean_nothing(self, world, served) -> None:
        assert self.ask(world, "anything").json()["name"] is None


class TestCluster:
    @pytest.fixture
    def cluster(self, vouching, world, tmp_path, monkeypatch) -> Vouching:
        """The console asks the API server on loopback; the bot may request nothing but read the ledger's rights."""
        (tmp_path / "token").write_text("own-token\n")

        def reviewer(config, environ):
            from spice.console.ask import open_http

            return Reviewer(vouching.url, tmp_path / "token", config.token_audiences, open_http())

        monkeypatch.setattr(Reviewer, "in_cluster", reviewer)
        world.restart(kubernetes_tokens=True, roles=("system:serviceaccount:ml:bot=operator",))
        return vouching

    def ask(self, world, token: str = "cluster-token"):
        return world.browser().get("/api/visitor", headers={"Authorization": f"Bearer {token}"})

    def test_a_token_made_for_the_console(self, world, cluster) -> None:
        assert self.ask(world).json() | {"csrf": ""} == {
            "name": "system:serviceaccount:ml:bot",
            "roles": ["operator"],
            "method": "kubernetes",
            "csrf": "",
        }
        assert cluster.asked == [
            {"spec": {"token": "cluster-token", "audiences": ["spice-console"]}, "by": "Bearer own-token"}
        ]

    @pytest.mark.parametrize(
        "review",
        [
            {"authenticated": False},
            {"audiences": []},  # an old server, which checks none
            {"audiences": ["https://kubernetes.default.svc"]},
            {"user": {"username": ""}},
        ],
        ids=str,
    )
    def test_what_the_server_does_not_vouch_for(self, world, cluster, review: dict[str, Any]) -> None:
        cluster.review |= review
        assert self.ask(world).status_code == 401

    def test_unknown_tokens(self, world, cluster) -> None:
        assert self.ask(world, "made up").status_code == 401

    def test_an_answer_is_remembered_for_some_seconds(self, world, cluster) -> None:
        for _ in range(3):
            assert self.ask(world).status_code == 200
        assert len(cluster.asked) == 1
        cluster.review["authenticated"] = False
        world.clock.advance(seconds=11)
        assert self.ask(world).status_code == 401

    def test_garbled_answers(self, world, cluster) -> None:
        cluster.review = {"authenticated": ["yes"]}
        assert self.ask(world).status_code == 503

    def test_a_server_that_is_gone_lets_nobody_in(self, world, cluster, tmp_path: Path) -> None:
        (tmp_path / "token").unlink()
        assert self.ask(world).status_code == 503

    def test_the_provider_is_asked_first_and_alone_for_its_tokens(self, world, cluster) -> None:
        world.restart(roles=("anna@example.org=approver",))
        assert self.ask(world, cluster.token(world.clock.seconds())).json()["method"] == "oidc"
        assert cluster.asked == []

    def test_acting_without_the_role(self, world, cluster) -> None:
        digest = world.requested().rpartition("/")[2]
        answer = world.browser().post(
            f"/api/requests/{digest}/verdicts",
            json={"verdict": "approve"},
            headers={"Authorization": "Bearer cluster-token"},
        )
        assert answer.status_code == 403


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"oidc_issuer": "https://login.example.org", "oidc_client": "spice"}, "needs console.url"),
        ({"oidc_issuer": "https://login.example.org", "url": ORIGIN}, "set both"),
        ({"oidc_issuer": "http://login.example.org", "oidc_client": "spice", "url": ORIGIN}, "no https address"),
        ({"kubernetes_tokens": True}, "needs a pod"),
        ({"group_roles": ("ml-leads",)}, "console.group_roles"),
    ],
)
def test_wrong_settings(world, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        world.restart(**changes)
