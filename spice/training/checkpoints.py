"""Checkpoints for others to use, and the state from which a stopped run goes on.

A checkpoint is a plain model folder, named by its digest. The resume state
holds master weights and optimizer moments; only the last one is kept. The
pointer `runs/<run>/state.json` moves last, so a crash anywhere leaves the
state before it in force.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from spice.config import ModelConfig
from spice.errors import NotFoundError, TrainingError
from spice.learner.base import Learner
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.canonical import JSON

if TYPE_CHECKING:
    import torch

_WEIGHTS = ".safetensors"
# What a model folder may hold besides weights. Nothing executable: no .py, no .bin, no .pt.
_SIDE_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
    "chat_template.jinja",
)


class State(BaseModel):
    """Where a run stands.

    Attributes:
        iteration: iterations done.
        resume: reference of the learner's state after them.
        checkpoints: (iteration, reference) of every checkpoint, the base first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    iteration: int
    resume: str
    checkpoints: tuple[tuple[int, str], ...]


def store_base(store: ObjectStore, folder: Path, model: ModelConfig) -> str:
    """Put the base model into the store, so that every checkpoint can name what it came from."""
    files: dict[str, bytes | Path] = {path.name: path for path in sorted(folder.glob(f"*{_WEIGHTS}"))}
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files[index.name] = index
    files |= _side_files(folder) | {"config.json": folder / "config.json"}
    fields: dict[str, JSON] = {"kind": "base", "model": model.name, "revision": model.revision}
    return artifacts.write(store, "checkpoints", files, fields)


def store_checkpoint(
    store: ObjectStore,
    weights: Mapping[str, torch.Tensor],
    base_folder: Path,
    dtype: str,
    fields: Mapping[str, JSON],
) -> str:
    """Put trained weights into the store as a model folder in `dtype`; returns `checkpoints/<digest>`."""
    import torch
    from safetensors.torch import save_file

    config = json.loads((base_folder / "config.json").read_text())
    config["dtype"] = dtype
    with tempfile.TemporaryDirectory(prefix="spice-checkpoint-") as temporary:
        file = Path(temporary) / f"model{_WEIGHTS}"
        target = getattr(torch, dtype)
        save_file({name: w.to(target).contiguous().cpu() for name, w in weights.items()}, file, {"format": "pt"})
        files: dict[str, bytes | Path] = {file.name: file, **_side_files(base_folder)}
        files["config.json"] = json.dumps(config, indent=2, sort_keys=True).encode()
        return artifacts.write(store, "checkpoints", files, {"kind": "checkpoint", **fields})


def save_state(
    store: ObjectStore, run: str, learner: Learner, iteration: int, checkpoints: tuple[tuple[int, str], ...]
) -> None:
    """Make the learner's state after `iteration` the one to resume from, then drop the one before."""
    with tempfile.TemporaryDirectory(prefix="spice-resume-") as temporary:
        folder = Path(temporary)
        learner.save(folder)
        files: dict[str, bytes | Path] = {path.name: path for path in sorted(folder.iterdir())}
        ref = artifacts.write(store, f"runs/{run}/resume", files, {"kind": "resume", "iteration": iteration})
    state = State(iteration=iteration, resume=ref, checkpoints=checkpoints)
    store.put(_state_key(run), state.model_dump_json().encode())
    for info in list(store.list(f"runs/{run}/resume/")):
        if not info.key.startswith(ref):
            store.delete(info.key)


def load_state(store: ObjectStore, run: str) -> State | None:
    """Where `run` stands, or `None` if it has not come to its first checkpoint.

    Raises:
        TrainingError: the state is not readable.
    """
    try:
        return State.model_validate_json(store.get(_state_key(run)))
    except NotFoundError:
        return None
    except ValidationError as error:
        raise TrainingError(f"{_state_key(run)} in {store.url} is not a training state; start a new run.") from error


def restore(store: ObjectStore, state: State, learner: Learner) -> None:
    """Put the learner into `state`; every byte is verified against its digest."""
    with tempfile.TemporaryDirectory(prefix="spice-resume-") as temporary:
        learner.load(artifacts.download(store, state.resume, Path(temporary) / "state"))


def _side_files(folder: Path) -> dict[str, bytes | Path]:
    return {name: folder / name for name in _SIDE_FILES if (folder / name).is_file()}


def _state_key(run: str) -> str:
    return f"runs/{run}/state.json"
