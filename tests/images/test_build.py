"""The images built and run: as nobody in particular, with a root file system that cannot be written.

`make test-e2e BASE_IMAGE=...` names a base image that is there already; without, the one of the Containerfile must be
there or within reach. The engine is the one that runs, or Debian's, started here and ended again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from spice import __version__

ROOT = Path(__file__).parents[2]
ENGINE = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"
READ_ONLY = ["run", "--rm", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A container engine."""
    if shutil.which(ENGINE) is None:
        pytest.skip("NO CONTAINER ENGINE: install docker.io")
    if _docker("info").returncode == 0:
        yield
        return
    dockerd = shutil.which("dockerd")
    if dockerd is None or os.geteuid() != 0:
        pytest.skip("NO CONTAINER ENGINE RUNS, and dockerd cannot be started without being root")
    log = tmp_path_factory.mktemp("docker") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [dockerd, "--iptables=false", "--ip6tables=false", "--bridge=none"], stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + 60
        while _docker("info").returncode != 0:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.skip(f"THE CONTAINER ENGINE DOES NOT START: {log.read_text()[-500:]}")
            time.sleep(0.5)
        yield
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="session")
def base(engine: None) -> str:
    """The base image."""
    line = next(each for each in (ROOT / "components/Containerfile").read_text().splitlines() if "BASE_IMAGE=" in each)
    name = os.environ.get("BASE_IMAGE") or line.partition("=")[2]
    if _docker("image", "inspect", name).returncode != 0 and _docker("pull", name).returncode != 0:
        pytest.skip(f"NO BASE IMAGE: {name} is not here and cannot be pulled; BASE_IMAGE names another")
    return name


@pytest.fixture(scope="session")
def built(base: str) -> Callable[[str], str]:
    """Builds the image of a target, once."""

    @cache
    def build(target: str) -> str:
        name = f"spice-test:{target}"
        arguments = [
            f"--build-arg={key}={value}"
            for key, value in {"BASE_IMAGE": base, "PIP_EXTRA_INDEX_URL": os.environ.get("PIP_EXTRA_INDEX_URL")}.items()
            if value
        ]
        how = ["--network=host", "--file=components/Containerfile", f"--target={target}", f"--tag={name}"]
        done = _docker("build", *how, *arguments, ".")
        assert done.returncode == 0, done.stderr[-3000:]
        return name

    return build


@pytest.fixture(params=["console", "cpu"])
def image(request: pytest.FixtureRequest, built: Callable[[str], str]) -> str:
    """Each image that needs no GPU."""
    return built(request.param)


def test_it_runs_as_nobody_with_a_read_only_root(image: str) -> None:
    assert _said(image, "id", "-u") == "10001"
    assert _said(image, "spice", "--version") == __version__
    assert _said(image, "python3", "-c", "import spice; print(spice.__version__)") == __version__
    refused = _docker(*READ_ONLY, image, "sh", "-c", "echo x > /opt/spice/x")
    assert refused.returncode != 0


def test_it_has_labels_and_no_entrypoint(image: str) -> None:
    (found,) = json.loads(_docker("image", "inspect", image).stdout)
    assert not found["Config"]["Entrypoint"]
    assert found["Config"]["User"] == "10001:10001"
    assert found["Config"]["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    print(f"{image}: {found['Size'] / 1e6:.0f} MB")


def test_a_folder_store_works_in_it(image: str) -> None:
    found = json.loads(_said(image, "spice", "doctor", "--store", "/tmp/store", "--json"))
    assert all(finding["ok"] for finding in found["findings"] if finding["required"])


def test_a_pipeline_runs_in_its_containers(built: Callable[[str], str], tmp_path: Path) -> None:
    pytest.importorskip("docker", reason="NO DOCKER CLIENT: install docker (the dev extra)")
    from kfp import local

    from components import IMAGE
    from spice.kubeflow import compiling

    assert _docker("tag", built("cpu"), IMAGE).returncode == 0
    (tmp_path / "documents").mkdir()
    for file in sorted((ROOT / "examples/factbook").glob("[a-m]*.md")):
        shutil.copy(file, tmp_path / "documents")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o777)  # the containers run as nobody in particular
    runner = local.DockerRunner(
        read_only=True,
        tmpfs={"/tmp": "size=2g"},
        cap_drop=["ALL"],
        network_mode="none",
        environment={"SPICE_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"},
    )
    local.init(runner, pipeline_root=str(tmp_path), raise_on_error=False)
    with pytest.warns(UserWarning):  # resources mean nothing here
        compiling.load("selfplay")(
            documents=str(tmp_path / "documents"),
            name="facts",
            run="first",
            gpus="0",
            requester="local",
            preset="smoke",
            settings=["training.iterations=1", "evaluation.cloze_items=8", "evaluation.reasoning_items=2"],
            store=str(tmp_path / "store"),
        )
    ran = {path.parent.name for path in tmp_path.rglob("executor_output.json")}
    assert ran >= {"ingest", "train", "evaluate", "gate", "record-outcome"}
    owners = {path.stat().st_uid for path in (tmp_path / "store").rglob("*")}
    assert owners == {10001}


def _said(image: str, *command: str) -> str:
    done = _docker(*READ_ONLY, image, *command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    return subprocess.run(
        [ENGINE, *arguments], capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=3000
    )
