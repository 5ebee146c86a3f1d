"""Write components/locks: the version of every package of an image, as installed in this environment.

    python scripts/lock_images.py

Run it in an environment that passes the tests, with all extras that the images have. The image gpu has vLLM, which such
an environment lacks and which asks for other versions of some packages: its lock is resolved by uv against the package
index, for Linux on x86-64, and keeps what it has where that still fits.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
IMAGES = {
    "console": ("console", "kubeflow", "serve"),
    "cpu": ("corpus", "hub", "kubeflow", "reasoning", "serve", "smollm2", "train"),
    "gpu": ("corpus", "hub", "kubeflow", "reasoning", "serve", "train", "vllm"),
}


RESOLVED = {"gpu"}
"""Images that are locked by asking the index, not by looking at this environment."""


def main() -> int:
    """Write one file per image; returns the exit code."""
    if shutil.which("uv") is None:
        print("No uv, which resolves the lock of the image gpu: pip install uv", file=sys.stderr)
        return 2
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for image, extras in IMAGES.items():
        wanted = [
            *project["dependencies"],
            *(line for each in extras for line in project["optional-dependencies"][each]),
        ]
        path = ROOT / f"components/locks/{image}.txt"
        path.parent.mkdir(exist_ok=True)
        locked = resolve(wanted, path) if image in RESOLVED else closure(wanted)
        path.write_text("\n".join(["# Written by scripts/lock_images.py.", *sorted(locked), ""]), "utf-8")
    return 0


def resolve(wanted: Iterable[str], lock: Path) -> list[str]:
    """`name==version` for the requirements and everything they need, from the index; what `lock` has is preferred.

    Raises:
        subprocess.CalledProcessError: If there is no solution; uv says why.
    """
    target = ("--python-version=3.11", "--python-platform=x86_64-manylinux_2_35")  # Debian 12
    with tempfile.TemporaryDirectory() as folder:
        asked, found = Path(folder) / "requirements.in", Path(folder) / "requirements.txt"
        asked.write_text("\n".join(["torch==2.13.0", *wanted]), "utf-8")
        if lock.exists():
            shutil.copy(lock, found)
        plain = ("--no-config", "--no-annotate", "--no-header", "--quiet")
        subprocess.run(["uv", "pip", "compile", *target, *plain, asked, "--output-file", found], check=True)
        return found.read_text("utf-8").splitlines()


def closure(wanted: Iterable[str]) -> set[str]:
    """`name==version` for the requirements and everything they need."""
    found: dict[tuple[str, frozenset[str]], str] = {}
    queue = [Requirement(line) for line in wanted]
    while queue:
        requirement = queue.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in found:
            continue
        try:
            installed = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            sys.exit(f"{requirement.name} is not installed here; the lock would lack it.")
        # A local build, such as torch's +cpu, is the same version from another index.
        found[key] = f"{key[0]}=={installed.version.partition('+')[0]}"
        for line in installed.requires or ():
            needed = Requirement(line)
            contexts = [{"extra": extra} for extra in (*requirement.extras, "")]
            if needed.marker is None or any(needed.marker.evaluate(context) for context in contexts):
                queue.append(needed)
    return set(found.values())


if __name__ == "__main__":
    sys.exit(main())
