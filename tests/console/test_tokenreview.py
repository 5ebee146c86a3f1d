"""The API server of the cluster that a console runs in, over TLS with the certificate authority that its pod has."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from spice.config import ConsoleConfig
from spice.console.errors import UnavailableError
from spice.console.tokenreview import Reviewer
from spice.errors import ConfigError

CONFIG = ConsoleConfig(kubernetes_tokens=True)


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself, with its key; returns its file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    (folder / "ca.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder / "ca.crt"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], Path]]:
    """The environment and the folder that Kubernetes gives to a pod."""

    async def review(request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer own"
        wanted = (await request.json())["spec"]
        known = {
            "authenticated": wanted["token"] == "good",
            "audiences": wanted["audiences"],
            "user": {"username": "u"},
        }
        return JSONResponse({"status": known}, 201)

    pod = tmp_path_factory.mktemp("pod")
    (pod / "token").write_text("own\n")
    routes = [Route("/apis/authentication.k8s.io/v1/tokenreviews", review, methods=["POST"])]
    tls = {"ssl_certfile": str(certificate(pod)), "ssl_keyfile": str(pod / "key.pem")}
    server = uvicorn.Server(
        uvicorn.Config(Starlette(routes=routes), "127.0.0.1", 0, log_level="critical", lifespan="off", **tls)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)}, pod
    server.should_exit = True
    thread.join()


def test_a_pod_asks_its_own_cluster(cluster: tuple[dict[str, str], Path]) -> None:
    environ, pod = cluster
    found = Reviewer.in_cluster(CONFIG, pod, environ).identify("good")
    assert (found.name, found.issuer) == ("u", f"https://127.0.0.1:{environ['KUBERNETES_SERVICE_PORT']}")


def test_a_server_with_another_certificate_is_not_asked(cluster: tuple[dict[str, str], Path], tmp_path: Path) -> None:
    environ, _ = cluster
    certificate(tmp_path)
    (tmp_path / "token").write_text("own")
    with pytest.raises(UnavailableError, match="cannot be asked"):
        Reviewer.in_cluster(CONFIG, tmp_path, environ).identify("good")


def test_tokens_must_be_made_for_somebody(cluster: tuple[dict[str, str], Path]) -> None:
    environ, pod = cluster
    with pytest.raises(ConfigError, match="say for whom"):
        Reviewer.in_cluster(CONFIG.model_copy(update={"token_audiences": ()}), pod, environ)
    with pytest.raises(ConfigError, match="needs a pod"):
        Reviewer.in_cluster(CONFIG, pod, {})
