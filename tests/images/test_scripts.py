"""How scripts find an engine and a base, and what they ask its client for; the client here writes that down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Client = Callable[..., Path]
ROOT = Path(__file__).parents[2]
# Answers as docker does: it has the images of IMAGES and no others; a build reads what pip would find.
CLIENT = """#!{python}
import json, os, sys, urllib.request
arguments = sys.argv[1:]
if arguments == ["--version"]:
    print("Docker version {version}, build 1")
elif arguments[0] == "info":
    sys.exit({info})
elif arguments[:2] == ["image", "inspect"]:
    if "--format" not in arguments:
        sys.exit(arguments[-1] not in {images!r})
    print(2_000_000)
elif arguments[0] == "build":
    links = [each.partition("PIP_FIND_LINKS=")[2] for each in arguments if "PIP_FIND_LINKS=" in each]
    found = [urllib.request.urlopen(link).read().decode() for link in " ".join(links).split()]
    with open("{log}", "a") as log:
        print(json.dumps([arguments, found]), file=log)
else:
    sys.exit(1)
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a script of the repository where no program is to be found but those that the test made."""

    def run(script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        hidden = ("CONTAINER_", "DOCKER_", "PIP_", "BASE_IMAGE")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
        settings = {**kept, "PATH": str(tmp_path / "bin"), "PIP_CONFIG_FILE": os.devnull, **environ}
        command = [sys.executable, ROOT / "scripts" / script, *arguments]
        return subprocess.run(command, env=settings, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """Makes a client."""

    def make(name: str = "docker", *, version: str = "20.10.24", info: int = 0, images: tuple[str, ...] = ()) -> Path:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        log = tmp_path / "builds"
        path.write_text(CLIENT.format(python=sys.executable, version=version, info=info, images=images, log=log))
        path.chmod(0o755)
        return path

    return make


@pytest.mark.parametrize("version", ["20.10.24", "22.0.1"])
def test_an_engine_that_runs_is_used(run: Run, client: Client, version: str) -> None:
    client(version=version, images=("base:1",))
    assert run("build_images.py", "cpu", "--tag", "t:1", BASE_IMAGE="base:1").returncode == 0


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"info": 1}, "no engine answers"),
        ({"version": "28.2.2"}, "since version 23 docker needs a plugin to build"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_without_one_that_can_build_nothing_is_built(
    run: Run, client: Client, made: dict[str, object], why: str
) -> None:
    client(**made)
    done = run("build_images.py", "cpu", "--tag", "t:1")
    assert (done.returncode, "No container engine runs" in done.stderr) == (2, True), why


def test_nothing_installed_is_told(run: Run) -> None:
    done = run("container_engine.py")
    assert done.returncode == 2
    assert "install docker.io" in done.stderr


def test_a_named_base_that_cannot_be_had_is_refused(run: Run, client: Client) -> None:
    client()
    done = run("build_images.py", "cpu", "--tag", "t:1", BASE_IMAGE="mine:1")
    assert done.returncode == 1
    assert "The base mine:1 is not here and cannot be pulled" in done.stderr


def test_without_a_registry_and_mmdebstrap_there_is_no_base(run: Run, client: Client) -> None:
    client()
    done = run("build_images.py", "cpu", "--tag", "t:1")
    assert done.returncode == 1
    assert "with mmdebstrap installed" in done.stderr


def test_a_build_gets_base_and_the_wheels_of_this_machine(run: Run, client: Client, tmp_path: Path) -> None:
    client(images=("base:1",))
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "torch-2.0+cpu-py3-none-any.whl").write_bytes(b"")
    given = {"BASE_IMAGE": "base:1", "PIP_FIND_LINKS": str(wheels), "PIP_EXTRA_INDEX_URL": "https://i.example.org"}
    done = run("build_images.py", "cpu", "console", "--tag", "t:1", **given)
    assert done.returncode == 0, done.stderr
    builds = [json.loads(line) for line in (tmp_path / "builds").read_text().splitlines()]
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == ["t:1", "t:1-console"]
    for (arguments, found), (target, name) in zip(builds, [("cpu", "t:1"), ("console", "t:1-console")], strict=True):
        asked = dict(each.removeprefix("--build-arg=").partition("=")[::2] for each in arguments if "build-arg" in each)
        assert {f"--target={target}", f"--tag={name}"} <= set(arguments)
        assert (asked["BASE_IMAGE"], asked["PIP_EXTRA_INDEX_URL"]) == ("base:1", "https://i.example.org")
        assert "torch-2.0%2Bcpu-py3-none-any.whl" in found[0]
