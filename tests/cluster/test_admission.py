"""What the API server itself lets in."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spice.config import Config, StoreConfig

MODEL = "Qwen/Qwen3-4B-Base"
DIGEST = f"sha256:{'1' * 64}"
Manifest = dict[str, Any]

pytestmark = pytest.mark.cluster


@pytest.fixture
def refusal(release: Any, api: Any, namespace: str) -> Callable[[Manifest], str]:
    """What the API server says against an object; nothing if it would take it. Nothing is created."""
    from kubernetes import dynamic
    from kubernetes.client.exceptions import ApiException

    opened = dynamic.DynamicClient(api)

    def asked(obj: Manifest) -> str:
        resource = opened.resources.get(api_version=obj["apiVersion"], kind=obj["kind"])
        try:
            resource.create(body=obj, namespace=namespace, query_params=[("dryRun", "All")])
        except ApiException as error:
            assert error.status in (403, 422), error
            return str(json.loads(error.body)["message"])
        return ""

    return asked


@pytest.fixture
def switch(release: Any, api: Any, namespace: str, refusal: Any, eventually: Any) -> Callable[[Manifest | None], None]:
    """Sets the data of the switch's ConfigMap and waits until the policies know."""
    from kubernetes import client

    core = client.CoreV1Api(api)

    def turn(data: Manifest | None) -> None:
        core.patch_namespaced_config_map("spice-kill-switch", namespace, {"data": data})
        wanted = data == {"engaged": "false"}
        eventually(lambda: ("No training starts" not in refusal(trainjob())) is wanted, f"the switch is {data}")

    return turn


def trainjob(model: str = MODEL, **settings: Any) -> Manifest:
    from spice.kubeflow.manifest import manifest

    tree = {"model": {"name": model}, "store": {"url": "s3://spice"}, **settings}
    return manifest("spice-run-0", "datasets/facts/0", Config.model_validate(tree), "run", {})


def pod(stage: str, image: str = f"spice@{DIGEST}") -> Manifest:
    secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "test-", "labels": {"spice.platform/stage": stage}},
        "spec": {
            "serviceAccountName": "spice-train",
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "a", "image": image, "securityContext": secure}],
        },
    }


def test_switch(switch: Callable[[Manifest | None], None], refusal: Callable[[Manifest], str]) -> None:
    switch({"engaged": "false"})
    assert refusal(trainjob()) == refusal(pod("train")) == ""
    switch({"engaged": "true", "reason": "it lies"})
    for each in (trainjob(), pod("train")):
        assert "engaged: it lies" in refusal(each)
    assert refusal(pod("evaluate")) == ""
    switch(None)
    assert "not known to be released" in refusal(trainjob())


def test_engaging_stops_training_through_the_mirror(
    release: Any,
    namespace: str,
    as_account: Callable[[str], Any],
    refusal: Callable[[Manifest], str],
    eventually: Callable[[Callable[[], bool], str], None],
    tmp_path: Path,
) -> None:
    from spice.kubeflow.configmap import ClusterConfigMap
    from spice.kubeflow.mirror import Mirror
    from spice.promotion import switch as switches
    from spice.store import open_store
    from spice.trust.enrol import own_signer

    store = open_store(StoreConfig(url=str(tmp_path / "store")))
    operator = own_signer(store, "local", tmp_path / "keys", lambda: datetime.now(UTC))
    mirror = Mirror(store, ClusterConfigMap(as_account("spice-switch"), namespace, "spice-kill-switch"))
    mirror.look()
    eventually(lambda: refusal(trainjob()) == "", "training is allowed")
    switches.engage(store, operator, "it lies", lambda: datetime.now(UTC))
    mirror.look()
    eventually(lambda: "engaged: it lies" in refusal(trainjob()), "training is refused")


def test_base_models(switch: Callable[[Manifest | None], None], refusal: Callable[[Manifest], str]) -> None:
    switch({"engaged": "false"})
    assert refusal(trainjob()) == ""
    assert MODEL in refusal(trainjob("evil/model"))
    own = trainjob()
    own["spec"]["trainer"]["command"] = ["sh"]
    assert "command" in refusal(own)


def test_images(
    switch: Callable[[Manifest | None], None],
    refusal: Callable[[Manifest], str],
    api: Any,
    namespace: str,
    eventually: Callable[[Callable[[], bool], str], None],
) -> None:
    from kubernetes import client

    switch({"engaged": "false"})
    core = client.CoreV1Api(api)
    label = "spice.platform/signed-images"
    core.patch_namespace(namespace, {"metadata": {"labels": {label: "true"}}})
    try:
        eventually(lambda: "image digests" in refusal(pod("evaluate", "spice:0.1.0")), "images by tag are refused")
        assert refusal(pod("evaluate")) == ""
        assert "image digests" in refusal(pod("evaluate", f"spice@sha256:{'2' * 64}"))
    finally:
        core.patch_namespace(namespace, {"metadata": {"labels": {label: None}}})


def test_pods_that_are_not_restricted_are_refused(refusal: Callable[[Manifest], str]) -> None:
    loose = pod("evaluate")
    loose["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    assert "PodSecurity" in refusal(loose)
