"""Checkpoints for others to use, and the state from which a stopped run goes on.

A checkpoint is a plain model folder, named by its digest. The resume state
holds master weights and optimizer moments; the last one is kept, or more of
them. The pointer `runs/<run>/state.json` moves last, so a crash anywhere leaves the
state before it in force.

One process at a time moves the pointer. Whoever resumes a run takes it over by
changing the pointer; a process that still plays the run finds that out when it
saves its next state, and stops. So a dead process never has to be declared dead.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from spice.config import ModelConfig
from spice.errors import ConflictError, StoreError, TrainingError
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
        resumed: how often the run was taken up again.
        kept: (iteration, reference) of every state that is still there, the newest last.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    iteration: int
    resume: str
    checkpoints: tuple[tuple[int, str], ...]
    resumed: int = 0
    kept: tuple[tuple[int, str], ...] = ()


class Loaded(Protocol):
    """What a run goes on with: a learner, or several."""

    def load(self, folder: Path) -> None:
        """Take up what was captured and written."""
        ...


class Pointer:
    """One process's hold on `runs/<run>/state.json`.

    Attributes:
        state: what it points to, `None` before the first checkpoint.
    """

    def __init__(self, store: ObjectStore, run: str) -> None:
        """Read where the run stands. Raises `TrainingError` if that is not readable."""
        self._store, self._run = store, run
        found = store.read(_state_key(run))
        self._etag = found[1] if found else None
        self.state = _parsed(store, run, found[0]) if found else None

    def take_over(self, iteration: int | None = None) -> None:
        """Stop any other process that plays this run, and go back to an earlier state if that is wanted.

        Args:
            iteration: the state after this one becomes the one to resume from; later ones are given up, and what
                was played after it will be played again.

        Raises:
            TrainingError: no such state is kept, or another process has just resumed the run.
        """
        state = self.state if iteration is None else self._earlier(iteration)
        if state:
            self._move(state.model_copy(update={"resumed": state.resumed + 1}))
            self._drop()  # who was killed after moving the pointer did not

    def advance(
        self,
        ref: str,
        iteration: int,
        checkpoints: tuple[tuple[int, str], ...],
        *,
        keep_last: int = 1,
        keep_every: int = 0,
    ) -> None:
        """Make a state the one to resume from, then drop those that are no longer wanted.

        Args:
            ref: the state after `iteration`, whole in the store.
            iteration: iterations done.
            checkpoints: (iteration, reference) of every checkpoint so far.
            keep_last: states that stay, the newest ones.
            keep_every: the states after every so many iterations stay for good; 0: none of them.

        Raises:
            TrainingError: another process has taken the run over.
        """
        before = self.state or State(iteration=0, resume="", checkpoints=())
        states = [one for one in self._known().items() if one[0] < iteration] + [(iteration, ref)]
        kept = tuple(
            one for place, one in enumerate(states) if len(states) - place <= keep_last or _due(one[0], keep_every)
        )
        self._move(State(iteration=iteration, resume=ref, checkpoints=checkpoints, resumed=before.resumed, kept=kept))
        self._drop()

    def _drop(self) -> None:
        """Delete the states that the pointer does not keep."""
        wanted = set(self._known().values())
        for info in list(self._store.list(f"runs/{self._run}/resume/")):
            if "/".join(info.key.split("/")[:4]) not in wanted:
                self._store.delete(info.key)

    def _known(self) -> dict[int, str]:
        """The states that are kept, by iteration."""
        return dict(self.state.kept or ((self.state.iteration, self.state.resume),)) if self.state else {}

    def _earlier(self, iteration: int) -> State:
        known = self._known()
        if self.state is None or iteration not in known:
            there = ", ".join(map(str, known)) or "none"
            raise TrainingError(
                f"Run {self._run} has no state after iteration {iteration} to go on from; there are: {there}. "
                "training.keep_last and training.keep_every say which are kept."
            )
        return self.state.model_copy(
            update={
                "iteration": iteration,
                "resume": known[iteration],
                "checkpoints": tuple(one for one in self.state.checkpoints if one[0] <= iteration),
                "kept": tuple(one for one in known.items() if one[0] <= iteration),
            }
        )

    def _move(self, state: State) -> None:
        try:
            self._etag = self._store.swap(_state_key(self._run), state.model_dump_json().encode(), self._etag)
        except ConflictError as error:
            raise TrainingError(
                f"Another process goes on with the run {self._run} in {self._store.url}, so this one stops. "
                "Nothing is lost: what was played is there."
            ) from error
        self.state = state


def store_base(store: ObjectStore, folder: Path, model: ModelConfig) -> str:
    """Put the base model into the store, so that every checkpoint can name what it came from."""
    files: dict[str, bytes | Path] = {path.name: path for path in sorted(folder.glob(f"*{_WEIGHTS}"))}
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files[index.name] = index
    files |= _side_files(folder) | {"config.json": folder / "config.json"}
    fields: dict[str, JSON] = {"kind": "base", "model": model.name, "revision": model.revision}
    return artifacts.write(store, "checkpoints", files, fields)


def host_weights(weights: Mapping[str, torch.Tensor], dtype: str, *, keep: bool) -> dict[str, torch.Tensor]:
    """Copies of weights in `dtype` on the host; none unless they are to be kept.

    Where the weights are divided among ranks, each is collected as it is read, so all ranks must read them.
    """
    import torch

    target, copies = getattr(torch, dtype), {}
    for name, weight in weights.items():
        if keep:
            copies[name] = weight.to("cpu", target).contiguous()
    return copies


def store_checkpoint(
    store: ObjectStore,
    weights: Mapping[str, torch.Tensor],
    base_folder: Path,
    dtype: str,
    fields: Mapping[str, JSON],
) -> str:
    """Put trained weights, on the host and in `dtype`, into the store as a model folder: `checkpoints/<digest>`.

    Raises:
        StoreError: they cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    config = json.loads((base_folder / "config.json").read_text())
    config["dtype"] = dtype
    with tempfile.TemporaryDirectory(prefix="spice-checkpoint-") as temporary:
        file = Path(temporary) / f"model{_WEIGHTS}"
        try:
            save_file(dict(weights), file, {"format": "pt"})
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"The checkpoint cannot be written to {temporary}: {error}. Free some space there, or set TMPDIR to a "
                "larger disk."
            ) from error
        files: dict[str, bytes | Path] = {file.name: file, **_side_files(base_folder)}
        files["config.json"] = json.dumps(config, indent=2, sort_keys=True).encode()
        return artifacts.write(store, "checkpoints", files, {"kind": "checkpoint", **fields})


def load_state(store: ObjectStore, run: str) -> State | None:
    """Where `run` stands, or `None` if it has not come to its first checkpoint.

    Raises:
        TrainingError: the state is not readable.
    """
    return Pointer(store, run).state


def restore(store: ObjectStore, state: State, learner: Loaded) -> None:
    """Put the learner into `state`; every byte is verified against its digest."""
    with tempfile.TemporaryDirectory(prefix="spice-resume-") as temporary:
        learner.load(artifacts.download(store, state.resume, Path(temporary) / "state"))


def _due(iteration: int, every: int) -> bool:
    return every > 0 and iteration % every == 0


def _side_files(folder: Path) -> dict[str, bytes | Path]:
    return {name: folder / name for name in _SIDE_FILES if (folder / name).is_file()}


def _parsed(store: ObjectStore, run: str, data: bytes) -> State:
    try:
        return State.model_validate_json(data)
    except ValidationError as error:
        raise TrainingError(f"{_state_key(run)} in {store.url} is not a training state; start a new run.") from error


def _state_key(run: str) -> str:
    return f"runs/{run}/state.json"
