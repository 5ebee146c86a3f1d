"""A container engine to build and run images with: the one that runs, else Debian's, started for a while.

    python scripts/container_engine.py

Two lines are printed once it answers, for the environment of whoever uses it: `CONTAINER_CLIENT=PROGRAM` and
`DOCKER_HOST=unix://SOCKET`. Ctrl-C or SIGTERM ends what was started and removes all that it kept, images included; an
engine that ran before goes on. CONTAINER_CLIENT names a client to use and no other.

Starting dockerd needs root and no network set-up: containers share the machine's network or have none. What it keeps
lies in a folder of its own below TMPDIR, of up to 10 GB with the images of this repository.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

START_SECONDS = 120
STOP_SECONDS = 60


class NoEngineError(Exception):
    """There is no engine here, and none can be started."""


def main() -> int:
    """Keep an engine until a signal comes; returns the exit code: 2 if there is nothing to keep, 1 if it fails."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with served(os.environ) as environment:
            for key, value in environment.items():
                print(f"{key}={value}", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except NoEngineError as error:
        print(error, file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def served(environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """An engine that answers; the block's value is what to add to the environment to use it.

    Raises:
        NoEngineError: If none runs, and none can be started: nothing is installed, or this is not root.
        RuntimeError: If one was started and does not answer; its log is in the message.
    """
    with contextlib.ExitStack() as running:
        client = running_client(environ)
        if client is None:
            client = _buildable_docker(environ)
            server = shutil.which("dockerd", path=f"{environ.get('PATH', '')}:/usr/sbin")
            if client is None or server is None:
                raise NoEngineError("No container engine: install docker.io (Debian), or start docker or podman.")
            if os.geteuid() != 0:
                raise NoEngineError("No container engine runs, and dockerd can be started by root only. Start one.")
            address = running.enter_context(_dockerd(server, client))
        elif Path(client).name == "podman":
            address = running.enter_context(_podman_service(client))
        else:
            told = _run(client, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}", environ=environ)
            address = environ.get("DOCKER_HOST") or told.stdout.strip()
        yield {"CONTAINER_CLIENT": client, "DOCKER_HOST": address}


def running_client(environ: Mapping[str, str]) -> str | None:
    """A client that can build images and whose engine answers; `None` if there is none."""
    for client in _clients(environ):
        if _can_build(client, environ) and _run(client, "info", environ=environ).returncode == 0:
            return client
    return None


def _clients(environ: Mapping[str, str]) -> list[str]:
    """The clients that are installed, by preference: one name may stand for several programs on the path."""
    if chosen := environ.get("CONTAINER_CLIENT"):
        return [chosen]
    folders = environ.get("PATH", "").split(os.pathsep)
    found = [shutil.which(name, path=folder) for name in ("docker", "podman") for folder in folders]
    return list(dict.fromkeys(path for path in found if path))


def _can_build(client: str, environ: Mapping[str, str]) -> bool:
    """Whether it builds with BuildKit, or as podman does. Since version 23, docker needs a plugin for that."""
    if Path(client).name == "podman":
        return True
    version = _run(client, "--version", environ=environ).stdout.removeprefix("Docker version ")
    major = version.partition(".")[0]
    return (major.isdigit() and int(major) < 23) or _run(client, "buildx", "version", environ=environ).returncode == 0


def _buildable_docker(environ: Mapping[str, str]) -> str | None:
    dockers = (client for client in _clients(environ) if Path(client).name == "docker")
    return next((client for client in dockers if _can_build(client, environ)), None)


@contextlib.contextmanager
def _dockerd(server: str, client: str) -> Iterator[str]:
    """Debian's dockerd in a folder of its own; the block's value is its address."""
    with _scratch() as folder:
        socket, log = folder / "docker.sock", folder / "log"
        arguments = [
            f"--host=unix://{socket}",
            f"--data-root={folder / 'data'}",
            f"--exec-root={folder / 'run'}",
            f"--pidfile={folder / 'pid'}",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
        ]
        with _process([server, *arguments], log) as process:
            address = f"unix://{socket}"
            _wait_for([client, "info"], {**os.environ, "DOCKER_HOST": address}, process, log)
            yield address


@contextlib.contextmanager
def _podman_service(client: str) -> Iterator[str]:
    """What podman offers to the clients of docker; the block's value is its address."""
    with _scratch() as folder:
        address, log = f"unix://{folder / 'podman.sock'}", folder / "log"
        with _process([client, "system", "service", "--time=0", address], log) as process:
            _wait_for([client, "--url", address, "info"], os.environ, process, log)
            yield address


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """A folder that is removed with all that is mounted in it."""
    folder = Path(tempfile.mkdtemp(prefix="spice-engine-"))
    try:
        yield folder
    finally:
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            place = line.split()[1]
            if Path(place).is_relative_to(folder):
                subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(folder)


@contextlib.contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that a signal to this one does not reach, ended with the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(asked: list[str], environ: Mapping[str, str], server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while _run(*asked, environ=environ).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The container engine does not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.5)


def _run(*command: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, env=dict(environ))


if __name__ == "__main__":
    sys.exit(main())
