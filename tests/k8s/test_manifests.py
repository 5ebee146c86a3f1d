"""The plain manifests are the chart's, and kustomize takes them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PLAIN = ROOT / "k8s"
FOLDERS = sorted(path.parent.name for path in PLAIN.glob("*/kustomization.yaml"))


def test_they_are_the_charts() -> None:
    pytest.importorskip("helm_python", reason="NO HELM: install helm-python-sdk (the dev extra)")
    done = subprocess.run(
        [sys.executable, "scripts/render_manifests.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomization_lists_every_file(folder: str) -> None:
    listed = yaml.safe_load((PLAIN / folder / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(p.name for p in (PLAIN / folder).glob("*.yaml") if p.name != "kustomization.yaml")


@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomize_takes_them(folder: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("NO KUBECTL: kustomize was not run")
    done = subprocess.run(
        [kubectl, "kustomize", str(PLAIN / folder)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    written = [
        each
        for path in (PLAIN / folder).glob("*.yaml")
        if path.name != "kustomization.yaml"
        for each in yaml.safe_load_all(path.read_text())
    ]
    assert len(list(yaml.safe_load_all(done.stdout))) == len(written)


def test_samples_are_accepted_by_kubernetes() -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for path in (PLAIN / "samples").glob("*.yaml"):
        if path.name != "kustomization.yaml":
            for each in yaml.safe_load_all(path.read_text()):
                for version in ("1.30.0", kubernetes_validate.latest_version()):
                    kubernetes_validate.validate(each, version, strict=True)


def test_only_what_an_administrator_applies_is_an_object_of_the_cluster() -> None:
    for path in [*PLAIN.glob("base/*.yaml"), *PLAIN.glob("pipelines/*.yaml"), *PLAIN.glob("monitoring/*.yaml")]:
        for each in yaml.safe_load_all(path.read_text()):
            if each["kind"] != "Kustomization":
                assert each["metadata"]["namespace"] == "spice", path
