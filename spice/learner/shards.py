"""A learner's state on disk: every rank writes the pieces that it holds, and any number of ranks can read them.

A piece is a stretch of one parameter, flattened, in float32: the master weight
and AdamW's two moments. Nothing in it depends on how many ranks there were, or
on which learner wrote it, so a run may go on with others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from spice.errors import TrainingError

MASTER, MEAN, SQUARE = "master", "exp_avg", "exp_avg_sq"


@dataclass(frozen=True)
class Piece:
    """A stretch of a parameter.

    Attributes:
        name: the parameter's.
        start: number of its first element in the flattened parameter.
        values: `MASTER`, and `MEAN` and `SQUARE` once there was a step; shape [length] each, on the host.
    """

    name: str
    start: int
    values: Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Shard:
    """What one rank holds, copied to the host, so that training can go on while it is written.

    Attributes:
        rank: whose it is.
        steps: optimizer steps taken.
        shapes: of every parameter of the model that is trained.
        pieces: this rank's part of them.
    """

    rank: int
    steps: int
    shapes: Mapping[str, tuple[int, ...]]
    pieces: tuple[Piece, ...]

    def write(self, folder: Path) -> None:
        """Write the shard's two files into `folder`. Raises `TrainingError` if that fails, as on a full disk."""
        tensors = {
            f"{piece.name}@{piece.start}/{what}": tensor
            for piece in self.pieces
            for what, tensor in piece.values.items()
        }
        index = {"steps": self.steps, "shapes": {name: list(shape) for name, shape in self.shapes.items()}}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save_file(tensors, folder / f"state-{self.rank:05d}.safetensors")
            (folder / f"state-{self.rank:05d}.json").write_text(json.dumps(index, sort_keys=True))
        except (OSError, SafetensorError) as error:
            raise TrainingError(
                f"The state of rank {self.rank} cannot be written to {folder}: {error}. Free some space there, or set "
                "TMPDIR to a larger disk; the state before it is untouched."
            ) from error


class Shards:
    """The shards of all ranks in a folder, read piece by piece.

    Attributes:
        steps: optimizer steps taken when they were written.
        shapes: of every trained parameter.
    """

    def __init__(self, folder: Path) -> None:
        """Find the shards. Raises `TrainingError` if there are none, or they are not of one state."""
        self._folder = folder
        indices = [_index(path) for path in sorted(folder.glob("state-*.json"))]
        if not indices or any(index != indices[0] for index in indices):
            raise TrainingError(f"{folder} holds no whole learner state that this version reads. Start a new run.")
        self.steps = indices[0].steps
        self.shapes = {name: tuple(shape) for name, shape in indices[0].shapes.items()}
        self._where: dict[tuple[str, str], list[tuple[int, Path, str]]] = {}
        for path in sorted(folder.glob("state-*.safetensors")):
            with safe_open(path, "pt") as file:
                for key in file.keys():  # noqa: SIM118  not a dictionary
                    name, _, rest = key.rpartition("@")
                    start, _, what = rest.partition("/")
                    self._where.setdefault((name, what), []).append((int(start), path, key))

    def require(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise `TrainingError` unless the state is of a model with just these trained parameters."""
        if self.shapes != dict(shapes):
            raise TrainingError(f"The saved weights in {self._folder} are of another model or other adapters.")

    def whole(self, name: str) -> torch.Tensor:
        """One parameter's master weight. Raises `TrainingError` if it was not written."""
        found = self.read(name, MASTER)
        if found is None:
            raise TrainingError(f"{self._folder} lacks {name}, so the run cannot go on from it.")
        return found

    def read(self, name: str, what: str) -> torch.Tensor | None:
        """One parameter's `MASTER`, `MEAN` or `SQUARE` in its own shape, or `None` if none was written."""
        found = sorted(self._where.get((name, what), []))
        if not found:
            return None
        parts, end = [], 0
        for start, path, key in found:
            if start != end:
                break
            with safe_open(path, "pt") as file:
                parts.append(file.get_tensor(key))
            end += parts[-1].numel()
        shape = self.shapes[name]
        if end != torch.Size(shape).numel():
            raise TrainingError(f"{self._folder} lacks a part of {name}, so the run cannot go on from it.")
        return torch.cat(parts).view(shape)


def share(sizes: Mapping[str, int], rank: int, ranks: int) -> list[str]:
    """The parameters that one of several ranks writes, where each holds them all.

    Args:
        sizes: elements of each parameter.
        rank: which one.
        ranks: of how many.

    Returns:
        Names, in the order of `sizes`; every rank about as many elements.
    """
    total, before, mine = sum(sizes.values()), 0, []
    for name, size in sizes.items():
        if before * ranks // max(total, 1) == rank:
            mine.append(name)
        before += size
    return mine


def pieces_of(parameters: Iterable[tuple[str, Mapping[str, torch.Tensor]]]) -> tuple[Piece, ...]:
    """Whole parameters as pieces, copied to the host."""
    return tuple(
        Piece(name, 0, {what: value.detach().reshape(-1).to("cpu", copy=True) for what, value in values.items()})
        for name, values in parameters
    )


class _Index(BaseModel):
    model_config = ConfigDict(extra="forbid")

    steps: int
    shapes: dict[str, list[int]]


def _index(path: Path) -> _Index:
    try:
        return _Index.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise TrainingError(f"{path} is not what a learner wrote; start a new run.") from error
