"""Kubernetes tokens: the API server is asked whose they are (`TokenReview`).

https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/.
A token must have been made for this console (`console.token_audiences`): one
that a pod carries for the API server itself is not accepted, so that a service
to which somebody shows such a token cannot act here in their name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import urllib3
from pydantic import BaseModel, ConfigDict

from spice.config import ConsoleConfig
from spice.console.ask import ask, open_http
from spice.console.errors import UnauthenticatedError, UnavailableError
from spice.console.identity import Identity
from spice.errors import ConfigError

POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _User(_Said):
    username: str = ""
    groups: tuple[str, ...] = ()


class _Status(_Said):
    authenticated: bool = False
    audiences: tuple[str, ...] = ()
    user: _User = _User()
    error: str = ""


class _Review(_Said):
    status: _Status = _Status()


class Reviewer:
    """Asks one API server.

    Args:
        url: of the API server.
        credentials: file with the token of this console's own service account, read anew each time, as it changes.
        audiences: for whom a token must have been made; one of them suffices.
        http: connections that trust the server's certificate.
    """

    def __init__(self, url: str, credentials: Path, audiences: tuple[str, ...], http: urllib3.PoolManager) -> None:
        self.issuer = url
        self._credentials = credentials
        self._audiences = audiences
        self._http = http

    @classmethod
    def in_cluster(cls, config: ConsoleConfig, pod: Path = POD, environ: Mapping[str, str] = os.environ) -> Reviewer:
        """The API server of the cluster that this pod runs in. Raises `ConfigError` if it runs in none."""
        host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host or not (pod / "token").exists():
            raise ConfigError(
                "console.kubernetes_tokens needs a pod with a service account's token, which there is not here. "
                f"The chart mounts one at {pod} where console.kubernetesTokens is on."
            )
        if not config.token_audiences:
            raise ConfigError("console.token_audiences is empty: say for whom a token must have been made.")
        address = f"[{host}]" if ":" in host else host
        http = open_http(ca=str(pod / "ca.crt"))
        return cls(f"https://{address}:{port}", pod / "token", config.token_audiences, http)

    def identify(self, token: str) -> Identity:
        """Who bears `token`.

        Raises:
            UnauthenticatedError: the cluster does not know it, or it was made for others.
            UnavailableError: the API server cannot be asked.
        """
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": list(self._audiences)},
        }
        headers = {"Authorization": f"Bearer {self._own_token()}"}
        said = ask(self._http, _Review, self.issuer + _PATH, body=body, headers=headers).status
        # A server that knows no audiences answers without any, and has checked none.
        if not said.authenticated or not said.user.username or not set(said.audiences) & set(self._audiences):
            wanted = ", ".join(self._audiences)
            raise UnauthenticatedError(
                f"The cluster does not know this token, or it was not made for {wanted}. {said.error}".rstrip()
            )
        return Identity(
            name=said.user.username, method="kubernetes", issuer=self.issuer, groups=tuple(said.user.groups)
        )

    def _own_token(self) -> str:
        try:
            return self._credentials.read_text("ascii").strip()
        except (OSError, ValueError) as error:
            raise UnavailableError(f"The console's own token {self._credentials} cannot be read: {error}") from error
