"""A real API server, whatever KUBECONFIG points to, and the chart installed in a namespace of its own.

Nodes are not needed: objects are created and judged, and no test waits for a pod. What is missing in the cluster (the
definitions of Trainer, Kueue and the Prometheus operator) is installed from tests/crds and removed again.
"""

from __future__ import annotations

import contextlib
import copy
import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RELEASE = "spice"
GUARDS = {"spice.platform/guarded": "true", "pod-security.kubernetes.io/enforce": "restricted"}

Manifest = dict[str, Any]


@pytest.fixture(scope="session")
def api() -> Any:
    """A client of the API server, as whoever KUBECONFIG says."""
    kubernetes = pytest.importorskip("kubernetes", reason="NO KUBERNETES CLIENT: install the kubeflow extra")
    try:
        kubernetes.config.load_kube_config()
        version = kubernetes.client.VersionApi().get_code()
    except Exception as error:
        pytest.skip(f"NO CLUSTER: KUBECONFIG leads to no API server ({error})")
    number = int(version.major), int("".join(filter(str.isdigit, version.minor)))
    if number < (1, 30):
        pytest.skip(f"CLUSTER TOO OLD: {version.git_version}; the chart needs Kubernetes 1.30")
    return kubernetes.client.ApiClient()


@pytest.fixture(scope="session")
def definitions(api: Any) -> Iterator[None]:
    """The CustomResourceDefinitions that the chart's objects need."""
    from kubernetes import client
    from kubernetes.client.exceptions import ApiException

    extensions = client.ApiextensionsV1Api(api)
    made = []
    for path in sorted((ROOT / "tests/crds").glob("*.json")):
        crd = json.loads(path.read_text())
        name = crd["metadata"]["name"]
        try:
            extensions.read_custom_resource_definition(name)
        except ApiException as error:
            assert error.status == 404, error
            extensions.create_custom_resource_definition(crd)
            made.append(name)
    for name in made:
        until(lambda name=name: _established(extensions, name), f"{name} is served")
    yield
    for name in made:
        extensions.delete_custom_resource_definition(name)


@pytest.fixture(scope="session")
def namespace(api: Any, definitions: None) -> Iterator[str]:
    """A namespace of our own, guarded by the admission policies."""
    from kubernetes import client

    core = client.CoreV1Api(api)
    name = f"spice-test-{uuid.uuid4().hex[:8]}"
    core.create_namespace({"metadata": {"name": name, "labels": GUARDS}})
    yield name
    core.delete_namespace(name)


@pytest.fixture(scope="session")
def helm(namespace: str) -> Iterator[Any]:
    """Helm, looking at the namespace."""
    helm_python = pytest.importorskip("helm_python", reason="NO HELM: install helm-python-sdk (the dev extra)")
    with contextlib.closing(helm_python.Config(namespace=namespace)) as config:
        yield config


@pytest.fixture(scope="session")
def values() -> Manifest:
    """Everything that an administrator can install. Hooks would wait for pods, which need nodes."""
    return {
        "store": {"url": "s3://spice", "endpoint": "s3.example.org"},
        "minio": {"enabled": True, "storage": "1Gi"},
        "gateway": {"enabled": True},
        "training": {"runtime": {"enabled": True}},
        "admission": {
            "policies": {"enabled": True},
            "allowedModels": ["Qwen/Qwen3-4B-Base"],
            "imageDigests": [f"sha256:{'1' * 64}"],
        },
        "kueue": {"enabled": True, "createClusterQueue": True},
        "monitoring": {"serviceMonitor": True, "podMonitor": True, "rules": True, "dashboards": True},
    }


@pytest.fixture(scope="session")
def release(helm: Any, values: Manifest, namespace: str) -> Iterator[Any]:
    """The chart, installed."""
    helm_python = pytest.importorskip("helm_python")
    with helm_python.Chart.load(ROOT / "helm/spice") as chart:
        helm.install(chart, RELEASE, copy.deepcopy(values), namespace=namespace)
        yield chart
        with contextlib.suppress(helm_python.HelmNotFoundError):
            helm.uninstall(RELEASE)


@pytest.fixture
def as_account(api: Any, namespace: str) -> Callable[[str], Any]:
    """A client that acts as one of the namespace's service accounts."""
    from kubernetes import client

    def acting(name: str) -> Any:
        impersonating = client.ApiClient(api.configuration)
        user = f"system:serviceaccount:{namespace}:{name}"
        impersonating.set_default_header("Impersonate-User", user)
        return impersonating

    return acting


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], bool], str], None]:
    """Waits until something holds."""
    return until


def until(holds: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """API servers take policies, definitions and deletions in after a moment."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)


def _established(extensions: Any, name: str) -> bool:
    found = extensions.read_custom_resource_definition(name).status
    return any(each.type == "Established" and each.status == "True" for each in found.conditions or ())
