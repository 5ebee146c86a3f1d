"""A real API server, whatever KUBECONFIG points to, and the chart installed in a namespace of its own.

Without KUBECONFIG, one is started where KUBEBUILDER_ASSETS names its binaries; see scripts/kube_server.py.
Nodes are not needed: objects are created and judged, and no test waits for a pod. What is missing in the cluster (the
definitions of Trainer, Kueue and the Prometheus operator) is installed from tests/crds and removed again.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RELEASE = "spice"
GUARDS = {"spice.platform/guarded": "true", "pod-security.kubernetes.io/enforce": "restricted"}

Manifest = dict[str, Any]


@pytest.fixture(scope="session")
def api(kube_api: Any) -> Any:
    """A client of the API server, as whoever KUBECONFIG says."""
    return kube_api


@pytest.fixture(scope="session")
def namespace(api: Any, kube_definitions: None) -> Iterator[str]:
    """A namespace of our own, guarded by the admission policies."""
    from kubernetes import client

    core = client.CoreV1Api(api)
    name = f"spice-test-{uuid.uuid4().hex[:8]}"
    core.create_namespace({"metadata": {"name": name, "labels": GUARDS}})
    yield name
    core.delete_namespace(name)


@pytest.fixture(scope="session")
def helm(helm_program: Any, namespace: str) -> Iterator[Any]:
    """Helm, looking at the namespace: its library, or the program that HELM names."""
    if helm_program is not None:
        yield dataclasses.replace(helm_program, namespace=namespace)
        return
    helm_python = pytest.importorskip("helm_python", reason="NO HELM: install helm-python-sdk (the dev extra)")
    # Its library has the environment from when it was loaded.
    file = Path(os.environ.get("KUBECONFIG", ""))
    given = {"kubeconfig_path": file} if file.is_file() else {}
    with contextlib.closing(helm_python.Config(namespace=namespace, **given)) as config:
        yield config


@pytest.fixture(scope="session")
def values() -> Manifest:
    """Everything that an administrator can install. Hooks would wait for pods, which need nodes."""
    return {
        "store": {"url": "s3://spice", "endpoint": "s3.example.org"},
        "minio": {"enabled": True, "storage": "1Gi"},
        "gateway": {"enabled": True},
        "ownerRole": {"enabled": True},
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
def release(helm: Any, helm_program: Any, values: Manifest, namespace: str) -> Iterator[Any]:
    """The chart, installed."""
    if helm_program is not None:
        chart = ROOT / "helm/spice"
        helm.install(chart, RELEASE, values)
        yield chart
        helm.uninstall(RELEASE)
        return
    helm_python = pytest.importorskip("helm_python")
    with helm_python.Chart.load(ROOT / "helm/spice") as chart:
        helm.install(chart, RELEASE, copy.deepcopy(values), namespace=namespace)
        yield chart
        with contextlib.suppress(helm_python.HelmNotFoundError):
            helm.uninstall(RELEASE)


@pytest.fixture(scope="session")
def tell(api: Any, namespace: str) -> Callable[[str, Mapping[str, str | None]], None]:
    """Writes what admission policies read of an account; `None` takes a word away."""
    from kubernetes import client

    core = client.CoreV1Api(api)

    def write(account: str, words: Mapping[str, str | None]) -> None:
        annotations = {f"spice.platform/{key}": value for key, value in words.items()}
        core.patch_namespaced_service_account(account, namespace, {"metadata": {"annotations": annotations}})

    return write


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
