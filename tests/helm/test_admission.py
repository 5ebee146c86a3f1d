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
RELEASED = {"data": {"engaged": "false"}}
ENGAGED = {"data": {"engaged": "true", "reason": "it lies"}}
ALLOWED = {"data": {"models": f"other\n{MODEL}", "imageDigests": f"sha256:{'0' * 64}\n{DIGEST}"}}


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


@pytest.mark.parametrize(
    "params", [ENGAGED, {}, {"data": {}}, {"data": {"engaged": "unknown"}}, {"data": {"engaged": ""}}]
)
@pytest.mark.parametrize(
    "obj", [trainjob(), pod("train"), {**pod("train"), "kind": "Job"}], ids=["trainjob", "pod", "job"]
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
    assert "allows: none" in str(review("spice-base-models", trainjob(), {"data": {"models": ""}}))
    assert "allows: none" in str(review("spice-base-models", trainjob(), {}))


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec["trainer"].update(command=["sh", "-c", "evil"]),
        lambda spec: spec["trainer"].pop("command"),
        lambda spec: spec.pop("trainer"),
        lambda spec: spec["trainer"]["args"].append("--more"),
        lambda spec: spec["runtimeRef"].update(name="torch-distributed"),
        lambda spec: _settings(spec, lambda text: text[:-1] + ',"model":{"name":"evil"}}'),
        lambda spec: _settings(spec, lambda text: text[:-1] + ',"model" :{"name":"evil"}}'),
        lambda spec: _settings(spec, lambda text: text[:-1] + ',"model": {"name":"evil"}}'),
        lambda spec: _settings(spec, lambda text: text[:-1] + ',"model"\n:{"name":"evil"}}'),
        lambda spec: _settings(spec, lambda text: text[:-1] + ',"m\\u006fdel":{"name":"evil"}}'),
        lambda spec: _settings(
            spec, lambda text: text.replace('"challenger_model":null', '"challenger_model" : "evil"')
        ),
        lambda spec: _settings(spec, lambda text: ""),
    ],
)
def test_a_trainjob_that_could_be_read_in_two_ways_is_refused(
    review: Review, change: Callable[[Manifest], object]
) -> None:
    wanted = trainjob()
    change(wanted["spec"])
    assert review("spice-base-models", wanted, ALLOWED) is not None


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": [{"name": "a", "image": "spice:0.1.0"}]},
        {"containers": [{"name": "a", "image": f"spice@sha256:{'2' * 64}"}]},
        {"containers": [{"name": "a", "image": f"spice:{DIGEST}"}]},
        {"initContainers": [{"name": "a", "image": "busybox"}]},
        {"ephemeralContainers": [{"name": "a", "image": "busybox"}]},
    ],
)
def test_images_that_nobody_verified_are_refused(review: Review, spec: Manifest) -> None:
    assert "image digests" in str(review("spice-image-digests", pod(**spec), ALLOWED))


def test_verified_images_are_allowed(review: Review) -> None:
    image = f"registry.example.org:5000/spice:0.1.0@{DIGEST}"
    assert review("spice-image-digests", pod(initContainers=[{"name": "b", "image": image}]), ALLOWED) is None
    assert review("spice-image-digests", pod(), {}) is not None


def _settings(spec: Manifest, change: Callable[[str], str]) -> None:
    arguments = spec["trainer"]["args"]
    arguments[2] = change(arguments[2])
