"""Write components/locks: the version of every package of an image, as installed in this environment.

    python scripts/lock_images.py

Run it in an environment that passes the tests, with all extras that the images have. What is not installed here, such
as vLLM, keeps the pin of pyproject.toml and leaves the choice of its own requirements to pip.
"""

from __future__ import annotations

import sys
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


def main() -> int:
    """Write one file per image."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for image, extras in IMAGES.items():
        wanted = [
            *project["dependencies"],
            *(line for each in extras for line in project["optional-dependencies"][each]),
        ]
        path = ROOT / f"components/locks/{image}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(["# Written by scripts/lock_images.py.", *sorted(closure(wanted)), ""]), "utf-8")
    return 0


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
            found[key] = str(requirement) if str(requirement.specifier).startswith("==") else ""
            continue
        # A local build, such as torch's +cpu, is the same version from another index.
        found[key] = f"{key[0]}=={installed.version.partition('+')[0]}"
        for line in installed.requires or ():
            needed = Requirement(line)
            contexts = [{"extra": extra} for extra in (*requirement.extras, "")]
            if needed.marker is None or any(needed.marker.evaluate(context) for context in contexts):
                queue.append(needed)
    return {line for line in found.values() if line}


if __name__ == "__main__":
    sys.exit(main())
