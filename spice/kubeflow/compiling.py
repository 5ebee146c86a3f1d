"""From pipeline functions to the IR YAML that Kubeflow takes, and the images that its tasks run in."""

from __future__ import annotations

import importlib
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from spice.errors import ConfigError

PIPELINES = ("selfplay", "promote", "rollback", "nightly", "compare", "drift", "ingest_sharded")

_ROOT = Path(__file__).parents[2]
_COMPILED = _ROOT / "pipelines" / "compiled"
_INSTALLED = Path(sysconfig.get_path("data")) / "share" / "spice" / "pipelines"


def compile_all(out: Path | None = None, root: Path = _ROOT) -> list[Path]:
    """Compile every pipeline of the source tree `root` into `<out>/<name>.yaml`, by default where they are committed.

    Raises:
        ConfigError: `root` is no source tree; an installed package has the compiled pipelines only.
    """
    from kfp.compiler import Compiler

    out = out or _COMPILED
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name in PIPELINES:
        path = out / f"{name}.yaml"
        Compiler().compile(load(name, root), str(path))
        written.append(path)
    return written


def load(name: str, root: Path = _ROOT) -> Any:
    """The pipeline function `name` of the source tree `root`, as `kfp.dsl.pipeline` made it. Raises `ConfigError`."""
    if not (root / "pipelines" / f"{name}.py").is_file():
        raise ConfigError(
            f"There is no pipelines/{name}.py in {root}. Compiling needs the source tree; the compiled pipelines that "
            "came with the package are uploaded without it."
        )
    with _importable(root):
        return getattr(importlib.import_module(f"pipelines.{name}"), name)


def compiled(folder: Path | None = None) -> Path:
    """The folder with compiled pipelines: `folder` if given, else the source tree's, else the installed one's.

    Raises:
        ConfigError: there is none.
    """
    candidates = [folder] if folder else [_COMPILED, _INSTALLED]
    for candidate in candidates:
        if any(candidate.glob("*.yaml")):
            return candidate
    raise ConfigError(
        f"There are no compiled pipelines in {', '.join(map(str, candidates))}. Give the folder with --from."
    )


def with_images(path: Path, image: str | None, gpu_image: str | None) -> str:
    """A compiled pipeline with the images that its tasks really run in.

    Args:
        path: the IR YAML.
        image: image of every task, by digest where the cluster asks for signed ones; unchanged if none.
        gpu_image: image of the tasks that may ask for GPUs; `image` if none.

    Raises:
        ConfigError: the file is no compiled pipeline.
    """
    try:
        documents = list(yaml.safe_load_all(path.read_text("utf-8")))
        executors = documents[0]["deploymentSpec"]["executors"]
        for executor in executors.values():
            container = executor["container"]
            wanted = (gpu_image or image) if "accelerator" in container.get("resources", {}) else image
            container["image"] = wanted or container["image"]
    except (OSError, yaml.YAMLError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ConfigError(
            f"{path} is no compiled pipeline: {error!r}. Compile it with `spice pipeline compile`."
        ) from error
    return yaml.safe_dump_all(documents, sort_keys=True)


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    """Let `components` and `pipelines` be imported: they are sources of Kubeflow, and no part of the package."""
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))
