"""The other side of a login: the machine where a person's key lies."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import urllib3
from pydantic import BaseModel, ConfigDict, ValidationError

from spice.console import login
from spice.errors import ConfigError, RefusedError, StoreError
from spice.trust.signing import Signer

_SECONDS = 15.0


class _Answer(BaseModel):
    """What a console answers; of the fields it has one, by what was asked."""

    model_config = ConfigDict(extra="ignore")

    challenge: str = ""
    code: str = ""
    message: str = ""


def login_link(url: str, signer: Signer) -> str:
    """Prove to the console at `url` who `signer` is; returns a link that logs them in once.

    Raises:
        ConfigError: `url` is no address.
        RefusedError: the console did not accept the proof.
        StoreError: there is no console.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(f"{url!r} is no address of a console, such as http://127.0.0.1:8080.")
    audience = f"{parts.scheme}://{parts.netloc}"
    with urllib3.PoolManager(timeout=_SECONDS, retries=False) as http:
        challenge = _post(http, f"{audience}/api/login/challenges", {}).challenge
        proof = {
            "name": signer.name,
            "audience": audience,
            "challenge": challenge,
            "signature": login.sign(signer, audience, challenge),
        }
        return f"{audience}/login?code={_post(http, f'{audience}/api/login/answers', proof).code}"


def _post(http: urllib3.PoolManager, url: str, body: dict[str, str]) -> _Answer:
    try:
        # Redirects are not followed: a proof goes to the console that its user named, and nowhere else.
        response = http.request("POST", url, json=body, redirect=False)
        answer = _Answer.model_validate(json.loads(response.data))
    except (urllib3.exceptions.HTTPError, ValueError, ValidationError) as error:
        raise StoreError(f"There is no console at {url}: {error}") from error
    if response.status != 200:
        raise RefusedError(f"The console refused: {answer.message or response.status}")
    return answer
