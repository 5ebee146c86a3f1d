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
def switch(release: Any, tell: Any, refusal: Any, eventually: Any) -> Callable[[Manifest | None], None]:
    """Sets what the switch's board says and waits until the policies know."""

    def turn(data: Manifest | None) -> None:
        tell("spice-kill-switch", {"engaged": None, "reason": None, "by": None} | (data or {}))
        words = "" if data == {"engaged": "false"} else "not known to be released"
        if data and data.get("engaged") == "true":
            words = f"engaged: {data['reason']}"
        eventually(lambda: (words in (said := refusal(trainjob()))) and bool(said) is bool(words), f"it is {data}")

    return turn


def trainjob(model: str = MODEL, **settings: Any) -> Manifest:
    from spice.kubeflow.manifest import manifest

    tree = {"model": {"name": model}, "store": {"url": "s3://spice"}, **settings}
    return manifest("spice-run-0", "datasets/facts/0", Config.model_validate(tree), "run", {})


def container(image: str = f"spice@{DIGEST}", **more: Any) -> Manifest:
    secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {"name": "a", "image": image, "securityContext": secure, **more}


def pod(stage: str | None = None, image: str = f"spice@{DIGEST}", **more: Any) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "test-", "labels": {"spice.platform/stage": stage} if stage else {}},
        "spec": {
            "serviceAccountName": "spice-selfplay",
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container(image)],
            **more,
        },
    }


def job(of: Manifest) -> Manifest:
    template = {"metadata": {"labels": of["metadata"]["labels"]}, "spec": of["spec"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": "test-"},
        "spec": {"template": template},
    }


SECRET = {"name": "spice-store-train"}


def training() -> dict[str, Manifest]:
    """Everything that trains, whatever it is called."""
    return {
        "TrainJob": trainjob(),
        "pod": pod("train"),
        "job": job(pod("train")),
        "account": pod(serviceAccountName="spice-train"),
        "other stage": pod("evaluate", serviceAccountName="spice-train"),
        "environment": pod(
            containers=[container(env=[{"name": "K", "valueFrom": {"secretKeyRef": {**SECRET, "key": "access-key"}}}])]
        ),
        "init container": pod(initContainers=[{**container(envFrom=[{"secretRef": SECRET}]), "name": "b"}]),
        "volume": pod("Train", volumes=[{"name": "v", "secret": {"secretName": "spice-store-train"}}]),
        "projected": job(pod(volumes=[{"name": "v", "projected": {"sources": [{"secret": SECRET}]}}])),
    }


def test_switch(switch: Callable[[Manifest | None], None], refusal: Callable[[Manifest], str]) -> None:
    switch({"engaged": "false"})
    assert {name: said for name, each in training().items() if (said := refusal(each))} == {}
    switch({"engaged": "true", "reason": "it lies"})
    for name, each in training().items():
        assert "engaged: it lies" in refusal(each), name
    for each in (pod(), pod("evaluate"), job(pod("promote"))):
        assert refusal(each) == ""
    for data in (None, {"engaged": ""}, {"engaged": "False"}, {"engaged": "unknown"}):
        switch(data)
        assert "not known to be released" in refusal(trainjob()), data


def test_controllers_make_no_pod_of_training_while_the_switch_is_engaged(
    switch: Callable[[Manifest | None], None], api: Any, namespace: str, eventually: Any
) -> None:
    from kubernetes import client

    if not _has_controllers(api):
        pytest.skip("NO CONTROLLERS: this server has no kube-controller-manager, so nothing makes pods of a Deployment")
    switch({"engaged": "true", "reason": "it lies"})
    apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
    labels = {"app": "test-train", "spice.platform/stage": "train"}
    spec = {key: value for key, value in pod("train")["spec"].items() if key != "restartPolicy"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    body = {
        "metadata": {"name": "test-train"},
        "spec": {"selector": {"matchLabels": {"app": "test-train"}}, "template": template},
    }
    apps.create_namespaced_deployment(namespace, body)
    try:

        def told() -> bool:
            events = core.list_namespaced_event(namespace, field_selector="reason=FailedCreate").items
            return any("engaged: it lies" in each.message for each in events)

        eventually(told, "the Deployment's controller is refused")
        assert core.list_namespaced_pod(namespace, label_selector="app=test-train").items == []
    finally:
        apps.delete_namespaced_deployment("test-train", namespace)


def test_engaging_stops_training_through_the_mirror(
    release: Any,
    namespace: str,
    as_account: Callable[[str], Any],
    refusal: Callable[[Manifest], str],
    eventually: Callable[[Callable[[], bool], str], None],
    tmp_path: Path,
) -> None:
    from spice.kubeflow.annotations import AccountAnnotations
    from spice.kubeflow.mirror import Mirror
    from spice.promotion import switch as switches
    from spice.store import open_store
    from spice.trust.enrol import own_signer

    store = open_store(StoreConfig(url=str(tmp_path / "store")))
    operator = own_signer(store, "local", tmp_path / "keys", lambda: datetime.now(UTC))
    mirror = Mirror(store, AccountAnnotations(as_account("spice-switch"), namespace, "spice-kill-switch"))
    mirror.look()
    eventually(lambda: refusal(trainjob()) == "", "training is allowed")
    switches.engage(store, operator, "it lies", lambda: datetime.now(UTC))
    mirror.look()
    eventually(lambda: "engaged: it lies" in refusal(trainjob()), "training is refused")


EVIL = "evil/model"


def _settings(old: str, new: str) -> Callable[[Manifest], object]:
    def change(spec: Manifest) -> None:
        assert old in spec["trainer"]["args"][2]
        spec["trainer"]["args"][2] = spec["trainer"]["args"][2].replace(old, new, 1)

    return change


def _patch(**pod_spec: Any) -> Callable[[Manifest], object]:
    template = {"spec": {"template": {"spec": pod_spec}}}
    job_patch = {"template": {"spec": {"replicatedJobs": [{"name": "node", "template": template}]}}}
    return lambda spec: spec["runtimePatches"].append({"manager": "evil", "trainingRuntimeSpec": job_patch})


CHANGES: dict[str, Callable[[Manifest], object]] = {
    "model": _settings(MODEL, EVIL),
    "suffix": _settings(MODEL, f"{MODEL}-evil"),
    "name twice": _settings('"revision":null', f'"name":"{EVIL}","revision":null'),
    "model twice": _settings('"recipe":', f'"model":{{"name":"{EVIL}"}},"recipe":'),
    "challenger": _settings('"challenger_model":null', f'"challenger_model":"{EVIL}"'),
    "escaped": _settings('"recipe":', f'"m\\u006fdel":{{"name":"{EVIL}"}},"recipe":'),
    "command": lambda spec: spec["trainer"].update(command=["sh"]),
    "arguments": lambda spec: spec["trainer"].update(args=[]),
    "trainer": lambda spec: spec.pop("trainer"),
    "runtime": lambda spec: spec["runtimeRef"].update(name="torch-distributed"),
    "own runtime": lambda spec: spec["runtimeRef"].update(kind="TrainingRuntime"),
    "image": lambda spec: spec["trainer"].update(image="evil"),
    "image's digest": lambda spec: spec["trainer"].update(image=f"spice@sha256:{'2' * 64}"),
    "environment": lambda spec: spec["trainer"]["env"].append({"name": "PYTHONPATH", "value": "/evil"}),
    "patched container": _patch(containers=[{"name": "node", "env": [{"name": "PYTHONPATH", "value": "/evil"}]}]),
    "patched volume": _patch(volumes=[{"name": "tmp", "configMap": {"name": "evil"}}]),
    "initializer": lambda spec: spec.update(initializer={"model": {"storageUri": "hf://evil/model"}}),
}


def test_base_models(switch: Callable[[Manifest | None], None], refusal: Callable[[Manifest], str]) -> None:
    switch({"engaged": "false"})
    assert refusal(trainjob()) == ""
    assert refusal(trainjob(kubeflow={"image": f"registry.example.org/spice@{DIGEST}"})) == ""
    assert MODEL in refusal(trainjob(EVIL))
    for name, change in CHANGES.items():
        wanted = trainjob()
        change(wanted["spec"])
        assert "spice-base-models" in refusal(wanted), name


def test_a_waiting_trainjob_is_not_changed_into_another(
    switch: Callable[[Manifest | None], None], as_account: Callable[[str], Any], api: Any, namespace: str
) -> None:
    from kubernetes import dynamic
    from kubernetes.client.exceptions import ApiException

    switch({"engaged": "false"})
    jobs = dynamic.DynamicClient(api).resources.get(api_version="trainer.kubeflow.org/v1alpha1", kind="TrainJob")
    waiting = trainjob(kubeflow={"queue": "spice"})
    name = waiting["metadata"]["name"]
    jobs.create(body=waiting, namespace=namespace)

    def patch(body: Manifest) -> None:
        jobs.patch(body, name, namespace, content_type="application/merge-patch+json", query_params=[("dryRun", "All")])

    try:
        arguments = trainjob(EVIL)["spec"]["trainer"]["args"]
        with pytest.raises(ApiException, match="base model is not among"):
            patch({"spec": {"trainer": {"args": arguments}}})
        patch({"spec": {"suspend": False}})
        patch({"metadata": {"labels": {"a": "b"}}})
        switch({"engaged": "true", "reason": "it lies"})
        with pytest.raises(ApiException, match="engaged: it lies"):
            patch({"spec": {"suspend": False}})
        patch({"metadata": {"labels": {"a": "b"}}})
    finally:
        jobs.delete(name, namespace)


def test_images(
    switch: Callable[[Manifest | None], None],
    refusal: Callable[[Manifest], str],
    api: Any,
    namespace: str,
    tell: Any,
    eventually: Callable[[Callable[[], bool], str], None],
) -> None:
    from kubernetes import client

    switch({"engaged": "false"})
    core = client.CoreV1Api(api)
    label = "spice.platform/signed-images"
    core.patch_namespace(namespace, {"metadata": {"labels": {label: "true"}}})
    try:
        eventually(lambda: "image digests" in refusal(pod("evaluate", "spice:0.1.0")), "images by tag are refused")
        allowed = (f"spice@{DIGEST}", f"registry.example.org:5000/a/b:tag@{DIGEST}")
        assert [refusal(pod("evaluate", each)) for each in allowed] == ["", ""]
        for image in (f"spice@sha256:{'2' * 64}", f"spice:{DIGEST[7:]}", f"{DIGEST[7:]}", f"spice@{DIGEST}:latest"):
            assert "image digests" in refusal(pod("evaluate", image)), image
        for each in (
            pod("evaluate", initContainers=[{**container("busybox"), "name": "b"}]),
            pod("evaluate", volumes=[{"name": "v", "image": {"reference": "busybox"}}]),
            pod(image="busybox"),
        ):
            assert "image digests" in refusal(each)
        _no_other_image_later(api, namespace, tell)
    finally:
        core.patch_namespace(namespace, {"metadata": {"labels": {label: None}}})


def _no_other_image_later(api: Any, namespace: str, tell: Any) -> None:
    from kubernetes import client
    from kubernetes.client.exceptions import ApiException

    core = client.CoreV1Api(api)
    name = core.create_namespaced_pod(namespace, pod()).metadata.name
    try:
        with pytest.raises(ApiException, match="image digests"):
            core.patch_namespaced_pod(name, namespace, {"spec": {"containers": [{"name": "a", "image": "busybox"}]}})
        debugging = {"spec": {"ephemeralContainers": [{**container("busybox"), "name": "debugger"}]}}
        with pytest.raises(ApiException, match="image digests"):
            core.patch_namespaced_pod_ephemeralcontainers(name, namespace, debugging)
        tell("spice-admission", {"image-digests": ""})
        core.patch_namespaced_pod(name, namespace, {"metadata": {"labels": {"a": "b"}}})
    finally:
        tell("spice-admission", {"image-digests": DIGEST})
        core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)


def test_policies_are_understood_by_the_server(release: Any, api: Any, eventually: Any) -> None:
    from kubernetes import client

    if not _has_controllers(api):
        pytest.skip("NO CONTROLLERS: this server has no kube-controller-manager, which checks the types of policies")
    admission = client.AdmissionregistrationV1Api(api)
    for name in ("spice-kill-switch", "spice-base-models", "spice-image-digests"):

        def status(name: str = name) -> Any:
            return admission.read_validating_admission_policy(name).status

        eventually(lambda: bool(status() and status().type_checking), f"the types of {name} are checked")
        assert not status().type_checking.expression_warnings, name


def _has_controllers(api: Any) -> bool:
    """Whether something makes the account that each namespace has."""
    from kubernetes import client

    accounts = client.CoreV1Api(api).list_service_account_for_all_namespaces(field_selector="metadata.name=default")
    return bool(accounts.items)


def test_pods_that_are_not_restricted_are_refused(refusal: Callable[[Manifest], str]) -> None:
    loose = pod("evaluate")
    loose["spec"]["containers"][0]["securityContext"] = {"runAsUser": 0}
    assert "violates PodSecurity" in refusal(loose)
