"""Install, upgrade, rollback, uninstall: what changes, what stays, what is left."""

from __future__ import annotations

import base64
import contextlib
import copy
import dataclasses
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "helm/spice"
CI = sorted((CHART / "ci").glob("*-values.yaml"))
PLAIN = sorted(path for path in (CHART.parents[1] / "k8s").rglob("*.yaml") if path.name != "kustomization.yaml")
KEPT = ("Secret", "PersistentVolumeClaim")
Manifest = dict[str, Any]

pytestmark = pytest.mark.cluster


@pytest.fixture
def objects(api: Any, namespace: str) -> Callable[[str], dict[tuple[str, str], Any]]:
    """Finds the live objects of a manifest, by kind and name."""
    from kubernetes import dynamic
    from kubernetes.client.exceptions import ApiException

    opened = dynamic.DynamicClient(api)

    def found(text: str) -> dict[tuple[str, str], Any]:
        live = {}
        for each in filter(None, yaml.safe_load_all(text)):
            resource = opened.resources.get(api_version=each["apiVersion"], kind=each["kind"])
            where = {"namespace": namespace} if resource.namespaced else {}
            try:
                live[each["kind"], each["metadata"]["name"]] = resource.get(name=each["metadata"]["name"], **where)
            except ApiException as error:
                assert error.status == 404, error
        return live

    return found


@pytest.fixture
def accepted(api: Any, kube_definitions: None) -> Iterator[Callable[[Manifest], None]]:
    """Has the API server judge an object, strictly, without keeping it; what is namespaced, in an empty namespace."""
    from kubernetes import client, dynamic

    opened = dynamic.DynamicClient(api)
    core = client.CoreV1Api(api)
    namespace = core.create_namespace({"metadata": {"generateName": "spice-test-"}}).metadata.name

    def accept(obj: Manifest) -> None:
        resource = opened.resources.get(api_version=obj["apiVersion"], kind=obj["kind"])
        if resource.namespaced:
            obj = {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}
        resource.server_side_apply(
            body=obj,
            name=obj["metadata"]["name"],
            namespace=namespace if resource.namespaced else None,
            field_manager="spice-test",
            force_conflicts=True,
            query_params=[("dryRun", "All"), ("fieldValidation", "Strict")],
        )

    yield accept
    core.delete_namespace(namespace)


@pytest.mark.parametrize("path", CI, ids=lambda path: path.stem)
def test_the_server_accepts_every_object(accepted: Callable[[Manifest], None], path: Path) -> None:
    helm = pytest.importorskip("helm_python")
    with helm.Chart.load(CHART) as chart:
        rendered = chart.render(yaml.safe_load(path.read_text()), name="dry", namespace="dry")
    objects = [
        each
        for template, text in rendered.items()
        if not template.endswith("NOTES.txt")
        for each in yaml.safe_load_all(text)
        if each
    ]
    assert len(objects) > 30
    # Pods are judged once their accounts are there, and those are never kept.
    for each in objects:
        if each["kind"] != "Pod":
            accepted(each)


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_server_accepts_the_plain_manifests(accepted: Callable[[Manifest], None], path: Path) -> None:
    for each in filter(None, yaml.safe_load_all(path.read_text())):
        accepted(each)


def test_upgrade_and_rollback_keep_what_must_stay(
    helm: Any, release: Any, values: Manifest, api: Any, namespace: str, tell: Any, objects: Callable[[str], Any]
) -> None:
    from kubernetes import client

    core = client.CoreV1Api(api)
    manifest = helm.status("spice")["manifest"]
    wanted = {(e["kind"], e["metadata"]["name"]) for e in filter(None, yaml.safe_load_all(manifest))}
    assert objects(manifest).keys() == wanted
    secret = core.read_namespaced_secret("spice-store-train", namespace).data
    assert base64.b64decode(secret["access-key"]) == b"spice-train"
    tell("spice-kill-switch", {"engaged": "false"})

    changed = copy.deepcopy(values)
    changed["console"] = {"replicas": 2}
    changed["config"] = {"promotion": {"approvals": 3}}
    helm.upgrade(release, "spice", changed, namespace=namespace)
    apps = client.AppsV1Api(api)
    assert apps.read_namespaced_deployment("spice-console", namespace).spec.replicas == 2
    _stays(core, namespace, secret)

    helm.rollback("spice", version=1)
    assert apps.read_namespaced_deployment("spice-console", namespace).spec.replicas == 1
    assert "approvals" not in core.read_namespaced_config_map("spice-config", namespace).data["config.yaml"]
    _stays(core, namespace, secret)


def test_uninstall_leaves_data_and_nothing_else(
    helm: Any, values: Manifest, release: Any, namespace: str, objects: Callable[[str], Any], eventually: Any
) -> None:
    manifest = helm.status("spice")["manifest"]
    helm.uninstall("spice")
    try:
        eventually(lambda: {kind for kind, _ in objects(manifest)} <= set(KEPT), "all but the data is gone")
        assert ("Secret", "spice-store-setup") in objects(manifest)
    finally:
        helm.install(release, "spice", copy.deepcopy(values), namespace=namespace)


def test_the_owner_of_a_namespace_installs_with_no_more_rights(
    api: Any, kube_definitions: None, eventually: Any, helm_program: Any
) -> None:
    """With what an administrator applied once."""
    from kubernetes import client

    core, rights = client.CoreV1Api(api), client.RbacAuthorizationV1Api(api)
    if not any("secrets" in (rule.resources or ()) for rule in rights.read_cluster_role("admin").rules or ()):
        pytest.skip("NO CONTROLLERS: without kube-controller-manager the role admin is empty")
    role = yaml.safe_load((CHART.parents[1] / "k8s/owner-role.yaml").read_text())
    role["metadata"]["name"] = f"spice-test-{uuid.uuid4().hex[:8]}"
    namespace = core.create_namespace({"metadata": {"generateName": "spice-test-"}}).metadata.name
    group = "rbac.authorization.k8s.io"
    binding = {
        "metadata": {"name": "owner"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "spice-test-owner"}],
    }
    values = yaml.safe_load((CHART / "ci/multi-tenant-values.yaml").read_text())
    values["pipelines"]["register"]["enabled"] = False  # its hook would wait for a pod
    values["monitoring"] = {"serviceMonitor": True, "podMonitor": True, "rules": True, "dashboards": True}
    rights.create_cluster_role(role)
    try:
        rights.create_namespaced_role_binding(namespace, binding)
        owner = client.ApiClient(api.configuration)
        owner.set_default_header("Impersonate-User", "spice-test-owner")
        asked = {"namespace": namespace, "group": "trainer.kubeflow.org", "resource": "trainjobs", "verb": "create"}
        review = {"spec": {"resourceAttributes": asked}}
        reviews = client.AuthorizationV1Api(owner)
        eventually(lambda: reviews.create_self_subject_access_review(review).status.allowed, "admin has the rights")
        with _as_user("spice-test-owner", namespace, helm_program) as (helm, chart):
            assert helm.install(chart, "tenant", values, namespace=namespace)["status"] == "deployed"
            helm.uninstall("tenant")
    finally:
        rights.delete_cluster_role(role["metadata"]["name"])
        core.delete_namespace(namespace)


@contextlib.contextmanager
def _as_user(user: str, namespace: str, helm_program: Any) -> Iterator[tuple[Any, Any]]:
    """Helm, acting as a user in a namespace, and the chart as it takes it."""
    if helm_program is not None:
        yield dataclasses.replace(helm_program, namespace=namespace, user=user), CHART
        return
    helm_python = pytest.importorskip("helm_python")
    file = os.environ.get("KUBECONFIG", "")
    given = {"kubeconfig_path": file} if Path(file).is_file() else {}
    with (
        helm_python.Chart.load(CHART) as chart,
        contextlib.closing(helm_python.Config(namespace=namespace, kube_as_user=user, **given)) as helm,
    ):
        yield helm, chart


def _stays(core: Any, namespace: str, secret: dict[str, str]) -> None:
    assert core.read_namespaced_secret("spice-store-train", namespace).data == secret
    told = core.read_namespaced_service_account("spice-kill-switch", namespace).metadata.annotations
    assert told["spice.platform/engaged"] == "false"
