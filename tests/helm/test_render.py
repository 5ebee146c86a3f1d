"""The chart is accepted by Helm and its objects by Kubernetes, with every set of example values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

CHART = Path(__file__).parents[2] / "helm/spice"
CI = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
Manifest = dict[str, Any]
Render = Callable[..., dict[str, list[Manifest]]]
PodSpecs = Callable[[list[Manifest]], Iterator[tuple[str, Manifest]]]

kubernetes_validate = pytest.importorskip("kubernetes_validate")
VERSIONS = ["1.30.0", kubernetes_validate.latest_version()]
CRDS = Path(__file__).parents[1] / "crds"


@pytest.mark.parametrize("ci", ["", *CI])
def test_lint_finds_nothing(helm_program: Any, ci: str) -> None:
    if helm_program is not None:
        values = [f"--values={CI[ci]}"] if ci else []
        said = helm_program("lint", str(CHART), "--strict", "--kube-version=v1.30.0", *values)
        assert "[WARNING]" not in said
        return
    helm = pytest.importorskip("helm_python")
    values = yaml.safe_load(CI[ci].read_text()) if ci else None
    report = helm.lint(CHART, values, strict=True, kube_version="v1.30.0")
    assert report["errors"] == []
    assert [each for each in report["messages"] if each["severity"] > 1] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_accepts_every_object(render: Render, pod_specs: PodSpecs, version: str) -> None:
    custom = set(_crds())
    checked = []
    for each in (manifest for ci in CI for found in render(ci=ci).values() for manifest in found):
        objects = [] if each["kind"] in custom else [each]
        if each["kind"] == "ClusterTrainingRuntime":
            objects = [_pod_template(pod) for _, pod in pod_specs([each])]
        for one in objects:
            if one not in checked:
                kubernetes_validate.validate(one, version, strict=True)
                checked.append(one)
    assert len(checked) > 60


def test_custom_resources_fit_their_definitions(render: Render) -> None:
    crds = _crds()
    found: dict[str, list[Manifest]] = {}
    for each in (manifest for ci in CI for manifests in render(ci=ci).values() for manifest in manifests):
        if each["kind"] in crds:
            found.setdefault(each["kind"], []).append(each)
    monitoring = {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
    assert set(found) >= monitoring | {"ClusterTrainingRuntime", "LocalQueue", "ClusterQueue"}
    for kind, manifests in found.items():
        crd = crds[kind]["spec"]
        version = crd["versions"][0]
        schema = _closed(version["schema"]["openAPIV3Schema"], root=True)
        jsonschema.Draft202012Validator.check_schema(schema)
        for each in manifests:
            assert each["apiVersion"] == f"{crd['group']}/{version['name']}"
            assert ("namespace" in each["metadata"]) == (crd["scope"] == "Namespaced"), kind
            jsonschema.Draft202012Validator(schema).validate(each)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"consol": {"enabled": True}}, "consol"),
        ({"console": {"replicas": 0}}, "replicas"),
        ({"console": {"resources": {"limits": {"memory": "lots"}}}}, "memory"),
        ({"console": {"resources": {"limit": {}}}}, "limit"),
        ({"images": {"cpu": {"digest": "latest"}}}, "digest"),
        ({"images": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"store": {"url": "/data"}}, "url"),
        ({"store": {"endpoint": "https://s3"}}, "endpoint"),
        ({"store": {"setup": {"lockDays": -1}}}, "lockDays"),
        ({"config": {"store": {"url": "s3://other"}}}, "config"),
        ({"modelServers": [{"name": "live", "checkpoint": "latest", "resources": {}}]}, "checkpoint"),
        ({"modelServers": [{"name": "live"}]}, "modelServers"),
        ({"admission": {"imageDigests": ["sha256:12"]}}, "imageDigests"),
        ({"admission": {"policies": {"validationActions": ["Ignore"]}}}, "validationActions"),
        ({"gateway": {"engine": "vllm"}}, "engine"),
        ({"networkPolicies": {"s3": {"port": 70000}}}, "port"),
        ({"pipelines": {"register": {"host": "ml-pipeline"}}}, "host"),
        ({"switch": {"pollSeconds": 0}}, "pollSeconds"),
    ],
)
def test_values_that_make_no_sense_are_refused(render: Render, values: dict[str, Any], words: str) -> None:
    with pytest.raises(Exception, match=words):
        render(values)


def test_what_an_administrator_adds_arrives(render: Render) -> None:
    component = {
        "podLabels": {"team": "red"},
        "priorityClassName": "urgent",
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.org"}],
    }
    names = ("console", "exporter", "gateway", "switch")
    values = dict.fromkeys(names, component) | {"gateway": {**component, "enabled": True}}
    for name in names:
        (deployment,) = render(values)[f"{name}/deployment.yaml"]
        template = deployment["spec"]["template"]
        assert template["metadata"]["labels"]["team"] == "red", name
        assert "team" not in deployment["spec"]["selector"]["matchLabels"], name
        assert component["extraEnv"][0] in template["spec"]["containers"][0]["env"], name
        assert template["spec"]["priorityClassName"] == "urgent", name
        assert template["spec"]["topologySpreadConstraints"] == component["topologySpreadConstraints"], name
        kubernetes_validate.validate(deployment, VERSIONS[0], strict=True)


def test_openshift_chooses_the_user(render: Render, pod_specs: PodSpecs) -> None:
    found = render({"podSecurityContext": dict.fromkeys(["runAsUser", "runAsGroup", "fsGroup"])})
    contexts = [pod["spec"]["securityContext"] for each in found.values() for _, pod in pod_specs(each)]
    assert contexts
    assert all(each == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}} for each in contexts)
    with pytest.raises(Exception, match="runAsNonRoot"):
        render({"podSecurityContext": {"runAsNonRoot": False}})


def test_more_objects_are_installed_with_their_templates_evaluated(render: Render) -> None:
    more = {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "spice-store-train", "namespace": "{{ .Release.Namespace }}"},
    }
    text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: '{{ .Release.Name }}-more'}}"
    found = {each["kind"]: each["metadata"] for each in render({"extraObjects": [more, text]})["extra-objects.yaml"]}
    assert found["ExternalSecret"] == {"name": "spice-store-train", "namespace": "spice"}
    assert found["ConfigMap"]["name"] == "spice-more"


def test_a_service_can_be_reached_from_outside(render: Render) -> None:
    service = {"type": "LoadBalancer", "annotations": {"example.org/internal": "true"}}
    found = render({"console": {"service": service}, "gateway": {"enabled": True, "service": service}})
    for name in ("console", "gateway"):
        (made,) = found[f"{name}/service.yaml"]
        assert (made["spec"]["type"], made["metadata"]["annotations"]) == ("LoadBalancer", service["annotations"])


def test_an_ingress_needs_a_host(render: Render) -> None:
    with pytest.raises(Exception, match=r"console\.ingress\.host"):
        render({"console": {"ingress": {"enabled": True}}})


def test_every_value_is_described_and_every_description_has_a_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(field: dict[str, Any], value: Any, path: str) -> None:
        assert field.get("description"), path
        if "properties" in field:
            assert field["additionalProperties"] is False, path
            assert set(field["properties"]) == set(value), path
            for name, inner in field["properties"].items():
                compare(inner, value[name], f"{path}.{name}")

    schema["properties"].pop("global")
    assert set(schema["properties"]) == set(values)
    for name, field in schema["properties"].items():
        compare(field, values[name], name)


def test_nothing_of_the_cluster_is_made_unless_asked_for(render: Render) -> None:
    for ci in ("minimal", "multi-tenant"):
        for path, manifests in render(ci=ci).items():
            for each in manifests:
                assert each["metadata"].get("namespace") == "spice", path


def _pod_template(pod: Manifest) -> Manifest:
    """Pods inside custom resources, as an object that Kubernetes knows."""
    return {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "pod"}, "template": pod}


def _crds() -> dict[str, Manifest]:
    found = [json.loads(path.read_text()) for path in CRDS.glob("*.json")]
    return {crd["spec"]["names"]["kind"]: crd for crd in found}


def _closed(schema: Any, *, root: bool = False) -> Any:
    """The schema as strict field validation has it: what it does not name is not allowed."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("pattern"), str):
        closed["pattern"] = _flags_first(schema["pattern"])
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed["properties"] = {key: _closed(value) for key, value in schema["properties"].items()}
        closed.setdefault("additionalProperties", False)
        if root:
            closed["properties"]["metadata"] = {"type": "object"}
    return closed


def _flags_first(pattern: str) -> str:
    """The API server's regular expressions are Go's, which takes `^(?i)`; Python takes flags at the very start only."""
    return re.sub(r"^\^(\(\?[ims]+\))", r"\1^", pattern)
