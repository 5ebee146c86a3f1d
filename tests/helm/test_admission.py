"""What the admission policies allow and deny, by Google's CEL; `make test-cluster` asks a real API server the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from spice.config import Config
from spice.kubeflow.manifest import manifest

cel = pytest.importorskip("cel_expr_python.cel", reason="NO CEL: install cel-expr-python (the dev extra)")

Manifest = dict[str, Any]
Render = Callable[..., dict[str, list[Manifest]]]
Review = Callable[..., "str | None"]

MODEL = "Qwen/Qwen3-4B-Base"
DIGEST = f"sha256:{'1' * 64}"


def board(**told: str) -> dict[str, Any]:
    """Annotations of a service account."""
    return {"metadata": {"annotations": {f"spice.platform/{key.replace('_', '-')}": told[key] for key in told}}}


RELEASED = board(engaged="false")
ENGAGED = board(engaged="true", reason="it lies")
ALLOWED = board(models=f"other\n{MODEL}", image_digests=f"sha256:{'0' * 64}\n{DIGEST}")


@pytest.fixture(scope="module")
def review(render: Render) -> Review:
    """Asks a policy: `None` if it allows the object or does not concern it, else the message of its refusal."""
    from cel_expr_python.ext import ext_optional, ext_strings

    names = ("object", "oldObject", "request", "params", "variables")
    environment = cel.NewEnv(
        variables=dict.fromkeys(names, cel.Type.DYN),
        extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings()],
    )
    policies = {
        each["metadata"]["name"]: each["spec"]
        for found in render({"admission": {"policies": {"enabled": True}}}).values()
        for each in found
        if each["kind"] == "ValidatingAdmissionPolicy"
    }

    def asked(policy: str, obj: Manifest, params: Manifest, old: Manifest | None = None) -> str | None:
        spec = policies[policy]
        request = {"operation": "UPDATE" if old else "CREATE", "namespace": "red", "kind": {"kind": obj["kind"]}}
        data: dict[str, Any] = {"object": obj, "oldObject": old, "request": request, "params": params, "variables": {}}

        def evaluated(expression: str) -> Any:
            return environment.compile(expression).eval(data=data).plain_value()

        if not all(evaluated(condition["expression"]) is True for condition in spec.get("matchConditions", ())):
            return None
        for variable in spec.get("variables", ()):
            data["variables"][variable["name"]] = evaluated(variable["expression"])
        for validation in spec["validations"]:
            if evaluated(validation["expression"]) is not True:
                return str(validation.get("message") or evaluated(validation["messageExpression"]))
        return None

    return asked


def trainjob(**settings: Any) -> Manifest:
    tree = {"model": {"name": MODEL}, "store": {"url": "s3://spice"}, **settings}
    return manifest("spice-run-0", "datasets/facts/0", Config.model_validate(tree), "run", {})


def pod(stage: str | None = None, **spec: Any) -> Manifest:
    metadata = {"name": "pod", **({"labels": {"spice.platform/stage": stage}} if stage else {})}
    return {
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "a", "image": f"spice@{DIGEST}"}], **spec},
    }


def job(of: Manifest) -> Manifest:
    return {"kind": "Job", "metadata": {"name": "job"}, "spec": {"template": {**of, "kind": None}}}


@pytest.mark.parametrize(
    "params",
    [ENGAGED, {}, {"metadata": {}}, board(), board(engaged="unknown"), board(engaged=""), board(engaged="False")],
)
@pytest.mark.parametrize(
    "obj",
    [trainjob(), pod("train"), {**job(pod()), "metadata": pod("train")["metadata"]}],
    ids=["trainjob", "pod", "job"],
)
def test_no_training_starts_unless_the_switch_is_known_to_be_released(
    review: Review, obj: Manifest, params: Manifest
) -> None:
    words = "engaged: it lies" if params == ENGAGED else "not known to be released"
    assert words in str(review("spice-kill-switch", obj, params))
    assert review("spice-kill-switch", obj, RELEASED) is None


@pytest.mark.parametrize("obj", [pod(), pod("evaluate"), pod("promote")], ids=["none", "evaluate", "promote"])
def test_the_switch_stops_training_only(review: Review, obj: Manifest) -> None:
    assert review("spice-kill-switch", obj, ENGAGED) is None
    assert review("spice-kill-switch", job(obj), ENGAGED) is None


SECRET = {"name": "spice-store-train"}


@pytest.mark.parametrize(
    "spec",
    [
        {"serviceAccountName": "spice-train"},
        {"containers": [{"name": "a", "env": [{"name": "K", "valueFrom": {"secretKeyRef": {**SECRET, "key": "k"}}}]}]},
        {"containers": [{"name": "a"}], "initContainers": [{"name": "b", "envFrom": [{"secretRef": SECRET}]}]},
        {"volumes": [{"name": "v", "secret": {"secretName": "spice-store-train"}}]},
        {"volumes": [{"name": "v", "projected": {"sources": [{"secret": SECRET}]}}]},
    ],
    ids=["account", "environment", "all of the environment", "volume", "projected volume"],
)
def test_what_has_the_credentials_of_training_is_training_whatever_it_is_called(review: Review, spec: Manifest) -> None:
    for obj in (pod(**spec), pod("evaluate", **spec), job(pod(**spec))):
        assert "engaged" in str(review("spice-kill-switch", obj, ENGAGED))
        assert review("spice-kill-switch", obj, RELEASED) is None


def test_a_job_is_training_if_its_pods_are(review: Review) -> None:
    assert "engaged" in str(review("spice-kill-switch", job(pod("train")), ENGAGED))


def test_the_job_that_makes_the_accounts_of_minio_is_no_training(review: Review, render: Render) -> None:
    (accounts,) = render(ci="minimal")["minio/accounts-job.yaml"]
    assert review("spice-kill-switch", accounts, {}) is None


def test_a_queued_job_does_not_start_but_can_be_looked_after(review: Review) -> None:
    waiting = trainjob(kubeflow={"queue": "red"})
    started = copy.deepcopy(waiting)
    started["spec"]["suspend"] = False
    assert "engaged" in str(review("spice-kill-switch", started, ENGAGED, waiting))
    assert review("spice-kill-switch", started, RELEASED, waiting) is None
    for before in (waiting, started):
        labelled = copy.deepcopy(before)
        labelled["metadata"]["labels"]["a"] = "b"
        assert review("spice-kill-switch", labelled, ENGAGED, before) is None
    assert review("spice-kill-switch", waiting, ENGAGED, started) is None


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"recipe": {"name": "strong_challenger", "challenger_model": MODEL}},
        {"store": {"url": 's3://spice/"model":{"name":"evil",'}},
    ],
)
def test_what_spice_writes_is_allowed(review: Review, settings: Manifest) -> None:
    assert review("spice-base-models", trainjob(**settings), ALLOWED) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"model": {"name": "evil/model"}},
        {"model": {"name": f"{MODEL}-evil"}},
        {"recipe": {"name": "strong_challenger", "challenger_model": "evil/model"}},
        {"model": {"name": "evil"}, "store": {"url": f's3://spice/"model":{{"name":"{MODEL}",'}},
    ],
)
def test_other_models_are_refused(review: Review, settings: Manifest) -> None:
    assert "other, Qwen" in str(review("spice-base-models", trainjob(**settings), ALLOWED))


def test_no_model_is_allowed_unless_named(review: Review) -> None:
    assert "allows: none" in str(review("spice-base-models", trainjob(), board(models="")))
    assert "allows: none" in str(review("spice-base-models", trainjob(), {}))


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec["trainer"].update(command=["sh", "-c", "evil"]),
        lambda spec: spec["trainer"].pop("command"),
        lambda spec: spec.pop("trainer"),
        lambda spec: spec["trainer"]["args"].append("--more"),
        lambda spec: spec["runtimeRef"].update(name="torch-distributed"),
        lambda spec: spec["runtimeRef"].update(kind="TrainingRuntime"),
        lambda spec: spec["runtimeRef"].update(apiGroup="evil.example.org"),
        lambda spec: spec["trainer"]["env"].append({"name": "PYTHONPATH", "value": "/evil"}),
        lambda spec: spec["trainer"].update(image="evil"),
        lambda spec: spec["trainer"].update(image=f"evil@sha256:{'2' * 64}"),
        lambda spec: spec.update(initializer={"model": {"storageUri": "hf://evil/model"}}),
        lambda spec: _pod_patch(spec).update(containers=[{"name": "node", "env": [{"name": "A", "value": "b"}]}]),
        lambda spec: _pod_patch(spec).update(initContainers=[{"name": "a"}]),
        lambda spec: _pod_patch(spec).update(volumes=[{"name": "code", "configMap": {"name": "evil"}}]),
        lambda spec: _settings(spec, lambda text: text[:-1] + ',"model":{"name":"evil"}}'),
        lambda spec: _settings(spec, lambda text: text[:-1] + ',"model" :{"name":"evil"}}'),
        lambda spec: _settings(spec, lambda text: text[:-1] + ',"model": {"name":"evil"}}'),
        lambda spec: _settings(spec, lambda text: text[:-1] + ',"model"\n:{"name":"evil"}}'),
        lambda spec: _settings(spec, lambda text: text[:-1] + ',"m\\u006fdel":{"name":"evil"}}'),
        lambda spec: _settings(
            spec, lambda text: text.replace('"challenger_model":null', '"challenger_model" : "evil"')
        ),
        lambda spec: _settings(spec, lambda text: text.replace('"revision":null', '"name":"evil","revision":null')),
        lambda spec: _settings(spec, lambda text: text.replace('"revision":null', '"revision":"}","name":"evil"')),
        lambda spec: _settings(spec, lambda text: ""),
    ],
)
def test_a_trainjob_that_could_be_read_in_two_ways_is_refused(
    review: Review, change: Callable[[Manifest], object]
) -> None:
    wanted = trainjob()
    change(wanted["spec"])
    assert review("spice-base-models", wanted, ALLOWED) is not None


def test_an_image_of_its_own_is_one_that_was_verified(review: Review) -> None:
    wanted = trainjob(kubeflow={"image": f"registry.example.org/spice:0.1.0-gpu@{DIGEST}"})
    assert review("spice-base-models", wanted, ALLOWED) is None


def test_a_waiting_trainjob_cannot_be_changed_into_another(review: Review) -> None:
    waiting = trainjob(kubeflow={"queue": "red"})
    changed = copy.deepcopy(waiting)
    _settings(changed["spec"], lambda text: text.replace(MODEL, "evil/model"))
    assert review("spice-base-models", changed, ALLOWED, waiting) is not None
    started = copy.deepcopy(waiting)
    started["spec"]["suspend"] = False
    assert review("spice-base-models", started, ALLOWED, waiting) is None
    assert review("spice-base-models", started, board(models="other"), waiting) is not None


def test_a_trainjob_whose_model_is_not_allowed_any_more_can_be_looked_after(review: Review) -> None:
    running = trainjob()
    labelled, suspended = copy.deepcopy(running), copy.deepcopy(running)
    labelled["metadata"]["finalizers"] = []
    suspended["spec"]["suspend"] = True
    for each in (labelled, suspended):
        assert review("spice-base-models", each, board(models="other"), running) is None


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": [{"name": "a", "image": "spice:0.1.0"}]},
        {"containers": [{"name": "a", "image": f"spice@sha256:{'2' * 64}"}]},
        {"containers": [{"name": "a", "image": f"spice:{DIGEST}"}]},
        {"initContainers": [{"name": "a", "image": "busybox"}]},
        {"ephemeralContainers": [{"name": "a", "image": "busybox"}]},
        {"volumes": [{"name": "code", "image": {"reference": "busybox"}}]},
        {"volumes": [{"name": "code", "image": {}}]},
        {"containers": [{"name": "a", "image": f"spice@{DIGEST.upper()}"}]},
        {"containers": [{"name": "a"}]},
    ],
)
def test_images_that_nobody_verified_are_refused(review: Review, spec: Manifest) -> None:
    assert "image digests" in str(review("spice-image-digests", pod(**spec), ALLOWED))


def test_verified_images_are_allowed(review: Review) -> None:
    image = f"registry.example.org:5000/spice:0.1.0@{DIGEST}"
    assert review("spice-image-digests", pod(initContainers=[{"name": "b", "image": image}]), ALLOWED) is None
    assert review("spice-image-digests", pod(), {}) is not None


def test_a_pod_that_runs_can_be_looked_after_and_not_be_given_another_image(review: Review) -> None:
    running = pod(containers=[{"name": "a", "image": "spice:0.1.0"}])
    labelled, changed = copy.deepcopy(running), copy.deepcopy(running)
    labelled["metadata"]["labels"] = {"a": "b"}
    changed["spec"]["ephemeralContainers"] = [{"name": "b", "image": "busybox"}]
    assert review("spice-image-digests", labelled, ALLOWED, running) is None
    assert "busybox" in str(review("spice-image-digests", changed, ALLOWED, running))


def _pod_patch(spec: Manifest) -> Manifest:
    (patch,) = spec["runtimePatches"]
    (node,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    return node["template"]["spec"]["template"]["spec"]


def _settings(spec: Manifest, change: Callable[[str], str]) -> None:
    arguments = spec["trainer"]["args"]
    arguments[2] = change(arguments[2])
