"""Find the policy's base model: a built-in one, a folder, a checkpoint of the store, or a hub id."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from spice.config import ModelConfig
from spice.errors import ModelError
from spice.models import shapes, smollm2, tiny
from spice.models.shapes import Shape
from spice.store import artifacts
from spice.store.base import ObjectStore

# By name, with a number that is raised when what the builder writes changes: an old cached model is no more taken then.
_BUILDERS: dict[str, tuple[Callable[[Path], None], int]] = {
    "tiny": (tiny.build, 3),
    "smollm2-135m-instruct": (smollm2.build, 1),
}
_HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model", "*.txt"]


def cache_folder() -> Path:
    """The user's cache for models: `$SPICE_CACHE`, else `$XDG_CACHE_HOME/spice`, else `~/.cache/spice`."""
    explicit = os.environ.get("SPICE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(explicit) if explicit else Path(base) / "spice"


def locate(config: ModelConfig, store: ObjectStore | None = None) -> Path:
    """Return a local folder in Hugging Face layout that holds the model `config` names.

    Built-in models are made once and cached; checkpoints are downloaded from
    `store` and verified; hub ids are fetched without any code files.

    Raises:
        ModelError: there is no such model, and what to do.
    """
    name = config.name
    if name in _BUILDERS:
        build, version = _BUILDERS[name]
        return _cached(f"{name}-{version}", build)
    if name.startswith("checkpoints/"):
        return checkpoint_folder(name, store)
    if "/" not in name and (warm_start_folder(name) / "config.json").is_file():
        return warm_start_folder(name)
    if Path(name).is_dir():
        return Path(name)
    return _from_hub(config)


def shape_of(config: ModelConfig, store: ObjectStore | None = None) -> Shape:
    """The shape of the model that `config` names, without fetching anything from a hub. Raises `ModelError`."""
    if config.name in shapes.KNOWN:
        return shapes.KNOWN[config.name]
    local = config.name in _BUILDERS or config.name.startswith("checkpoints/") or Path(config.name).is_dir()
    if not local and "/" in config.name:
        known = ", ".join(shapes.KNOWN)
        raise ModelError(f"The shape of {config.name} is not known ({known} are). Give a folder that holds the model.")
    return shapes.of_folder(locate(config, store))


def warm_start_folder(name: str) -> Path:
    """Where the arena keeps a model that it has trained to begin with, see `spice.arena.warmstarts`."""
    return cache_folder() / "warm-starts" / name


def checkpoint_folder(ref: str, store: ObjectStore | None) -> Path:
    """Return a local, verified copy of the checkpoint `ref`."""
    if store is None:
        raise ModelError(f"{ref} lies in a store, and none is configured.")
    # Downloading verifies every file, also of a copy that is there already.
    return artifacts.download(store, ref, cache_folder() / "models" / ref.replace("/", "-"))


def _cached(name: str, build: Callable[[Path], None]) -> Path:
    target = cache_folder() / "models" / name
    if (target / "config.json").exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    _quiet()
    try:
        build(work)
        try:
            work.replace(target)
        except OSError:
            # Another process was first; its folder is as good as ours.
            if not (target / "config.json").exists():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _quiet() -> None:
    """Keep transformers from drawing its own progress bars between ours."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _from_hub(config: ModelConfig) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(config.name, revision=config.revision, allow_patterns=_HUB_FILES))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        names = ", ".join(sorted(_BUILDERS))
        raise ModelError(
            f"There is no model {config.name!r}: it is not built in ({names}), not a folder here, and the hub did not "
            f"give it. Check the name; without a hub, give a folder.\nThe hub client says: {error}"
        ) from error
