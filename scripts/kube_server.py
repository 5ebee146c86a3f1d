"""A Kubernetes API server on loopback, from binaries that are at hand: no nodes, no container, nothing downloaded.

    KUBEBUILDER_ASSETS=FOLDER python scripts/kube_server.py

FOLDER holds `etcd` and `kube-apiserver`, as setup-envtest leaves them; TEST_ASSET_ETCD and TEST_ASSET_KUBE_APISERVER
name each alone. With `kube-controller-manager` beside them (TEST_ASSET_KUBE_CONTROLLER_MANAGER) namespaces also end,
Deployments make pods, and ClusterRoles are aggregated; no pod is ever run. The first line printed is the path of a
kubeconfig for an administrator. Ctrl-C or SIGTERM ends the servers and removes what they wrote.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOST = "127.0.0.1"
START_SECONDS = 300
STOP_SECONDS = 20
SIGNS = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def main() -> int:
    """Serve until a signal comes; returns the exit code."""
    found = binaries(os.environ)
    missing = [name for name in ("etcd", "kube-apiserver") if name not in found]
    if missing:
        print(f"No {' and no '.join(missing)}: KUBEBUILDER_ASSETS names the folder that has them.", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="spice-kube-") as folder, served(found, Path(folder)) as kubeconfig:
            print(kubeconfig, flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def binaries(environ: Mapping[str, str]) -> dict[str, Path]:
    """The servers that the environment names and that are there, by name."""
    found = {}
    for name in ("etcd", "kube-apiserver", "kube-controller-manager"):
        alone = environ.get(f"TEST_ASSET_{name.upper().replace('-', '_')}")
        path = Path(alone) if alone else Path(environ.get("KUBEBUILDER_ASSETS", ""), name)
        if path.is_file() and (alone or "KUBEBUILDER_ASSETS" in environ):
            found[name] = path.absolute()
    return found


@contextlib.contextmanager
def served(found: Mapping[str, Path], folder: Path) -> Iterator[Path]:
    """The servers, ready; the block's value is a kubeconfig. Raises `RuntimeError` with the log of one that failed."""
    client, peer, secure, insight = _free_ports(4)
    certificates(folder)
    address = f"https://{HOST}:{secure}"
    kubeconfig = _kubeconfig(folder, address)
    with contextlib.ExitStack() as running:
        start = _Starter(folder, running)
        start(
            found["etcd"],
            f"--data-dir={folder / 'etcd-data'}",
            f"--listen-client-urls=http://{HOST}:{client}",
            f"--advertise-client-urls=http://{HOST}:{client}",
            f"--listen-peer-urls=http://{HOST}:{peer}",
            "--unsafe-no-fsync",
        )
        server = start(
            found["kube-apiserver"],
            f"--etcd-servers=http://{HOST}:{client}",
            f"--bind-address={HOST}",
            f"--secure-port={secure}",
            f"--cert-dir={folder}",
            f"--tls-cert-file={folder / 'server.crt'}",
            f"--tls-private-key-file={folder / 'server.key'}",
            f"--client-ca-file={folder / 'ca.crt'}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=PodSecurity,ResourceQuota,LimitRanger",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={folder / 'accounts.key'}",
            f"--service-account-key-file={folder / 'accounts.pub'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
        )
        _wait_for(f"{address}/readyz", folder, server)
        if "kube-controller-manager" in found:
            controllers = start(
                found["kube-controller-manager"],
                f"--kubeconfig={kubeconfig}",
                f"--authentication-kubeconfig={kubeconfig}",
                f"--authorization-kubeconfig={kubeconfig}",
                f"--bind-address={HOST}",
                f"--secure-port={insight}",
                f"--cert-dir={folder}",
                f"--service-account-private-key-file={folder / 'accounts.key'}",
                f"--root-ca-file={folder / 'ca.crt'}",
                "--use-service-account-credentials",
                "--leader-elect=false",
            )
            _wait_for(f"{address}/api/v1/namespaces/default/serviceaccounts/default", folder, controllers)
        yield kubeconfig


def certificates(folder: Path) -> None:
    """Write an authority, the server's certificate, an administrator's, and the key pair of service accounts."""
    authority = ec.generate_private_key(ec.SECP256R1())
    name = _name("spice-kube")
    root = _certificate(name, authority, name, authority, x509.BasicConstraints(ca=True, path_length=None), SIGNS)
    _write(folder, "ca", root, authority)
    for file, subject, purpose in (
        ("server", _name("kube-apiserver"), ExtendedKeyUsageOID.SERVER_AUTH),
        ("admin", _name("administrator", "system:masters"), ExtendedKeyUsageOID.CLIENT_AUTH),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        also = x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST)), x509.DNSName("localhost")])
        made = _certificate(subject, key, name, authority, x509.ExtendedKeyUsage([purpose]), also)
        _write(folder, file, made, key)
    accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "accounts.key").write_bytes(_pem(accounts))
    public = accounts.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "accounts.pub").write_bytes(public)


class _Starter:
    """Starts servers whose output goes to a file each, and ends them in reverse order."""

    def __init__(self, folder: Path, running: contextlib.ExitStack) -> None:
        self._folder, self._running = folder, running

    def __call__(self, binary: Path, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{binary.name}.log").open("wb") as log:
            process = subprocess.Popen([binary, *arguments], stdout=log, stderr=log, start_new_session=True)
        self._running.callback(_stop, process)
        return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(address: str, folder: Path, server: subprocess.Popen[bytes]) -> None:
    """Wait until there is an answer at the address."""
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(address, context=context, timeout=5):
                return
        except (urllib.error.URLError, OSError) as error:
            if server.poll() is not None or time.monotonic() > deadline:
                logs = "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in folder.glob("*.log"))
                raise RuntimeError(f"No answer at {address}: {error}\n{logs}") from error
        time.sleep(0.2)


def _kubeconfig(folder: Path, address: str) -> Path:
    """The kubeconfig of an administrator."""
    files = {"client-certificate": str(folder / "admin.crt"), "client-key": str(folder / "admin.key")}
    path = folder / "kubeconfig"
    tree = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "spice", "cluster": {"server": address, "certificate-authority": str(folder / "ca.crt")}}
        ],
        "users": [{"name": "administrator", "user": files}],
        "contexts": [{"name": "spice", "context": {"cluster": "spice", "user": "administrator"}}],
        "current-context": "spice",
    }
    path.write_text(yaml.safe_dump(tree))
    return path


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    authority: ec.EllipticCurvePrivateKey,
    *extensions: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=30))
    for extension in (*extensions, x509.SubjectKeyIdentifier.from_public_key(key.public_key()), issued_by):
        critical = isinstance(extension, (x509.BasicConstraints, x509.KeyUsage))
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(authority, hashes.SHA256())


def _name(common: str, organization: str = "spice") -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, common), x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)]
    )


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(_pem(key))


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


if __name__ == "__main__":
    sys.exit(main())
