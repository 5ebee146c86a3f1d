"""Build images of components/Containerfile on whatever base and index this machine has.

    python scripts/build_images.py console cpu --tag spice:0.1.0 --sbom dist

gives spice:0.1.0-console and spice:0.1.0 (cpu has no suffix), and in dist a CycloneDX list of what each really holds.
A container engine must run; `scripts/container_engine.py` starts one. BASE_IMAGE names the base.

A build sees no folder of this machine. Where pip is told to look for wheels in folders (`find-links`, for torch's CPU
build, say), they are served to it on loopback.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from base_image import NoBaseError, choose
from container_engine import running_client

ROOT = Path(__file__).parents[1]
TARGETS = ("console", "cpu", "gpu")
PASSED_ON = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def main(argv: list[str]) -> int:
    """Build; returns the exit code."""
    options = _parser().parse_args(argv)
    client = running_client(os.environ)
    if client is None:
        print("No container engine runs, or none that can build. Start one.", file=sys.stderr)
        return 2
    try:
        base = choose(client, os.environ.get("BASE_IMAGE"))
        with served_wheels() as links:
            arguments = {"BASE_IMAGE": base, "PIP_FIND_LINKS": " ".join(links), "REVISION": _revision()}
            arguments |= {key: os.environ.get(key, "") for key in PASSED_ON}
            for target in options.targets:
                build(client, target, image_name(options.tag, target), arguments)
                if options.sbom:
                    list_contents(client, target, Path(options.sbom), arguments)
    except NoBaseError as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"The build ended with exit code {error.returncode}; its output is above.", file=sys.stderr)
        return 1
    return 0


def image_name(tag: str, target: str) -> str:
    """What the image of a target is called."""
    return tag if target == "cpu" else f"{tag}-{target}"


def build(client: str, target: str, name: str, arguments: dict[str, str]) -> None:
    """Build the image of a target, and say what it took."""
    begun = time.monotonic()
    _build(client, arguments, f"--target={target}", f"--tag={name}")
    shown = subprocess.run(
        [client, "image", "inspect", "--format", "{{.Size}}", name], capture_output=True, text=True, check=True
    )
    print(f"{name}: {int(shown.stdout) / 1e6:.0f} MB, {time.monotonic() - begun:.0f} s", flush=True)


def list_contents(client: str, target: str, folder: Path, arguments: dict[str, str]) -> None:
    """Write what the image of a target really holds: FOLDER/spice-TARGET.image.cdx.json."""
    folder.mkdir(parents=True, exist_ok=True)
    _build(client, {**arguments, "SBOM_OF": target}, "--target=sbom", f"--output=type=local,dest={folder}")
    path = (folder / "sbom.json").replace(folder / f"spice-{target}.image.cdx.json")
    print(path, flush=True)


def _build(client: str, arguments: dict[str, str], *options: str) -> None:
    given = [f"--build-arg={key}={value}" for key, value in arguments.items() if value]
    how = ["--network=host", "--file=components/Containerfile", *options, *given]
    if Path(client).name == "docker":
        how.append("--progress=plain")
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    subprocess.run([client, "build", *how, "."], cwd=ROOT, env=environment, stdout=sys.stderr, check=True)


@contextlib.contextmanager
def served_wheels() -> Iterator[list[str]]:
    """The places where pip looks for wheels on this machine, as a build can reach them while the block lasts."""
    with contextlib.ExitStack() as running:
        places = []
        for place in _find_links():
            folder = Path(urlparse(place).path if place.startswith("file:") else place)
            if folder.is_dir():
                places.append(running.enter_context(_served(folder)))
            elif "://" in place and not place.startswith("file:"):
                places.append(place)
        yield places


def _find_links() -> list[str]:
    """What pip is told by its files and by the environment."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found = re.findall(r"(?m)^[\w:.]+\.find-links=('.*'|\".*\")$", listed.stdout)
    return list(dict.fromkeys(place for text in found for place in str(ast.literal_eval(text)).split()))


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    with _server(folder, handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def _server(folder: Path, handler: Callable[..., _Quiet]) -> http.server.ThreadingHTTPServer:
    """On a port that is the folder's own if it is free: with another address, no layer of the last build would do."""
    usual = 20000 + zlib.crc32(str(folder.resolve()).encode()) % 10000
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", usual), handler)
    except OSError:
        return http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing: pip tells what it takes."""


def _revision() -> str:
    """The commit that is checked out; empty where there is no history, or no git."""
    if shutil.which("git") is None:
        return ""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="build_images.py", description="Build images of components/Containerfile.")
    parser.add_argument("targets", nargs="+", choices=TARGETS, help="what to build")
    parser.add_argument("--tag", required=True, help="name of the image cpu; the others have a suffix")
    parser.add_argument("--sbom", metavar="FOLDER", help="also list what each image holds, in this folder")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
