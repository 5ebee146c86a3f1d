"""Every service account may do what the table says, and nothing else: asked of the API server as that account."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "helm/spice"
ACCOUNTS = yaml.safe_load((CHART / "files/rbac.yaml").read_text())["accounts"]
VERBS = (
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "impersonate",
    "bind",
    "escalate",
)
RESOURCES = [
    *(("", each) for each in ("pods", "pods/log", "pods/exec", "secrets", "configmaps", "serviceaccounts", "events")),
    *(("", each) for each in ("serviceaccounts/token", "services", "persistentvolumeclaims", "namespaces", "nodes")),
    ("apps", "deployments"),
    ("batch", "jobs"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("networking.k8s.io", "networkpolicies"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("trainer.kubeflow.org", "trainjobs"),
    ("trainer.kubeflow.org", "clustertrainingruntimes"),
    ("argoproj.io", "workflowtaskresults"),
    ("pipelines.kubeflow.org", "pipelines"),
    ("pipelines.kubeflow.org", "pipelines/versions"),
]

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("name", ACCOUNTS)
def test_rights(release: Any, namespace: str, as_account: Callable[[str], Any], name: str) -> None:
    rules = ACCOUNTS[name]["rules"]
    reviews = _Reviews(as_account(f"spice-{name}"), namespace)
    for (group, resource), verb in itertools.product(RESOURCES, VERBS):
        allowing = [
            rule
            for rule in rules
            if group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]
        ]
        for named in {"somebody-elses", *(each for rule in rules for each in rule.get("resourceNames", ()))}:
            expected = any(named in rule.get("resourceNames", [named]) for rule in allowing)
            assert reviews.may(group, resource, verb, named) is expected, (verb, group, resource, named)


@pytest.mark.parametrize("name", ACCOUNTS)
def test_all_rights_together_are_those_of_the_table(
    release: Any, namespace: str, as_account: Callable[[str], Any], name: str
) -> None:
    rules = ACCOUNTS[name]["rules"]
    granted = _granted(as_account(f"spice-{name}"), namespace) - _granted(as_account("nobody"), namespace)
    assert granted == {right for rule in rules for right in _rights(rule)}


@pytest.mark.parametrize("name", ACCOUNTS)
def test_no_rights_elsewhere(release: Any, as_account: Callable[[str], Any], name: str) -> None:
    reviews = _Reviews(as_account(f"spice-{name}"), "kube-system")
    assert not [pair for pair in RESOURCES if any(reviews.may(*pair, verb, "") for verb in ("get", "list", "create"))]


def test_it_is_so_in_deed(release: Any, namespace: str, as_account: Callable[[str], Any]) -> None:
    from kubernetes import client
    from kubernetes.client.exceptions import ApiException

    assert client.CoreV1Api(as_account("spice-selfplay")).list_namespaced_pod(namespace).items is not None
    for account, call in (
        ("spice-train", lambda core: core.list_namespaced_pod(namespace)),
        ("spice-selfplay", lambda core: core.read_namespaced_secret("spice-store-promote", namespace)),
        ("spice-switch", lambda core: core.patch_namespaced_service_account("spice-admission", namespace, {})),
        ("spice-console", lambda core: core.read_namespaced_service_account("spice-kill-switch", namespace)),
    ):
        with pytest.raises(ApiException) as refused:
            call(client.CoreV1Api(as_account(account)))
        assert refused.value.status == 403


def _granted(api: Any, namespace: str) -> set[tuple[str, ...]]:
    """Everything that the caller may do in a namespace, as the API server tells it."""
    from kubernetes import client

    answer = client.AuthorizationV1Api(api).create_self_subject_rules_review({"spec": {"namespace": namespace}})
    found = {
        right
        for each in answer.status.resource_rules
        for right in _rights(
            {
                "apiGroups": each.api_groups,
                "resources": each.resources,
                "verbs": each.verbs,
                "resourceNames": each.resource_names,
            }
        )
    }
    paths = {
        (path, verb)
        for each in answer.status.non_resource_rules
        for path in each.non_resource_ur_ls or []
        for verb in each.verbs
    }
    return found | paths


def _rights(rule: dict[str, list[str] | None]) -> set[tuple[str, ...]]:
    fields = (rule["apiGroups"], rule["resources"], rule["verbs"], rule.get("resourceNames") or ["*"])
    return set(itertools.product(*(field or [] for field in fields)))


class _Reviews:
    """Asks the API server what the caller may do."""

    def __init__(self, api: Any, namespace: str) -> None:
        from kubernetes import client

        self._authorization = client.AuthorizationV1Api(api)
        self._namespace = namespace

    def may(self, group: str, resource: str, verb: str, name: str) -> bool:
        resource, _, subresource = resource.partition("/")
        asked = {"namespace": self._namespace, "group": group, "resource": resource, "verb": verb}
        asked |= {"subresource": subresource, "name": name}
        answer = self._authorization.create_self_subject_access_review({"spec": {"resourceAttributes": asked}})
        return bool(answer.status.allowed)
