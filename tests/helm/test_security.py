"""What every pod of the chart is held to: restricted pod security, no rights that are not in the table, no way out."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "helm/spice"
Manifest = dict[str, Any]
Render = Callable[..., dict[str, list[Manifest]]]
PodSpecs = Callable[[list[Manifest]], Iterator[tuple[str, Manifest]]]

ACCOUNTS = yaml.safe_load((CHART / "files/rbac.yaml").read_text())["accounts"]


def test_pods_are_restricted(manifests: list[Manifest], pod_specs: PodSpecs) -> None:
    for name, pod in pod_specs(manifests):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] >= 10000, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC", "hostUsers")), name
        kinds = {key for volume in spec["volumes"] for key in volume} - {"name"}
        assert kinds <= {"configMap", "emptyDir", "secret", "projected", "persistentVolumeClaim"}, name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            where = f"{name}/{container['name']}"
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, where
            assert context["readOnlyRootFilesystem"] is True, where
            assert context["capabilities"] == {"drop": ["ALL"]}, where
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, where
            assert "memory" in container["resources"]["limits"], where
            assert re.search(r"(:[\w.-]+|@sha256:[0-9a-f]{64})$", container["image"]), where
            assert not container["image"].endswith(":latest"), where
            assert any(mount["mountPath"] == "/tmp" for mount in container["volumeMounts"]) or where.endswith("/keys")


def test_a_pod_has_a_token_only_if_its_account_has_rights(manifests: list[Manifest], pod_specs: PodSpecs) -> None:
    for name, pod in pod_specs(manifests):
        account = pod["spec"]["serviceAccountName"].removeprefix("spice-")
        assert pod["spec"]["automountServiceAccountToken"] is bool(ACCOUNTS[account]["rules"]), name


def test_rights_are_what_the_table_says(manifests: list[Manifest]) -> None:
    roles = {each["metadata"]["name"]: each["rules"] for each in manifests if each["kind"] == "Role"}
    assert roles == {f"spice-{name}": account["rules"] for name, account in ACCOUNTS.items() if account["rules"]}
    assert not [each for each in manifests if each["kind"] in ("ClusterRole", "ClusterRoleBinding")]
    accounts = {each["metadata"]["name"] for each in manifests if each["kind"] == "ServiceAccount"}
    assert accounts == {f"spice-{name}" for name in ACCOUNTS} | {"spice-kill-switch", "spice-admission"}
    for each in manifests:
        if each["kind"] == "RoleBinding":
            (subject,) = each["subjects"]
            assert subject["name"] == each["roleRef"]["name"] == each["metadata"]["name"]


def test_no_right_is_wider_than_needed() -> None:
    for name, account in ACCOUNTS.items():
        assert account["token"] is bool(account["rules"]), name
        for rule in account["rules"]:
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}, name
            if {"secrets", "configmaps"} & set(rule["resources"]):
                assert rule["resourceNames"], name
            assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"]), name


def test_the_owner_of_a_namespace_may_give_what_the_accounts_need(render: Render) -> None:
    ((role,),) = [
        found for path, found in render({"ownerRole": {"enabled": True}}).items() if path == "owner-role.yaml"
    ]
    held = {
        (group, resource, verb)
        for rule in role["rules"]
        for group, resource, verb in itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }
    for account in ACCOUNTS.values():
        for rule in account["rules"]:
            given = set(itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"]))
            assert {right for right in given if right[0]} <= held, "admin itself has what is in the core group"
    assert not {verb for _, _, verb in held} & {"*", "escalate", "bind", "impersonate"}


def test_only_training_reaches_trainjobs() -> None:
    reach = {
        name for name, account in ACCOUNTS.items() for rule in account["rules"] if "trainjobs" in rule["resources"]
    }
    assert reach == {"selfplay"}


def test_every_pod_is_denied_by_default(manifests: list[Manifest], pod_specs: PodSpecs) -> None:
    denied = next(each for each in manifests if each["metadata"]["name"] == "spice-default-deny")
    assert set(denied["spec"]) == {"podSelector", "policyTypes"}
    assert denied["spec"]["policyTypes"] == ["Ingress", "Egress"]
    labels = denied["spec"]["podSelector"]["matchLabels"]
    for name, pod in pod_specs(manifests):
        assert labels.items() <= pod["metadata"]["labels"].items(), name


def test_selectors_find_their_pods_and_nobody_elses(manifests: list[Manifest], pod_specs: PodSpecs) -> None:
    pods = dict(pod_specs(manifests))
    for each in manifests:
        if each["kind"] in ("Service", "PodDisruptionBudget"):
            selector = each["spec"]["selector"]
            selector = selector.get("matchLabels", selector)
            found = [name for name, pod in pods.items() if selector.items() <= pod["metadata"]["labels"].items()]
            assert found, each["metadata"]["name"]
            assert len({name.partition("/")[0] for name in found}) == 1
        if each["kind"] in ("Deployment", "StatefulSet"):
            labels = each["spec"]["template"]["metadata"]["labels"]
            assert each["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_policies_name_only_what_is_there(render: Render) -> None:
    peers = render({"networkPolicies": {"consoleFrom": [{"namespaceSelector": {}}]}})["console/networkpolicy.yaml"]
    assert {"namespaceSelector": {}} in peers[0]["spec"]["ingress"][0]["from"]
    assert not [
        path
        for path, found in render({"networkPolicies": {"enabled": False}}).items()
        if "networkpol" in path and found
    ]
