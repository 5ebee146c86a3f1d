"""What the process that starts ranks and the ranks tell one another, as files in a folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from spice import errors
from spice.config import Config
from spice.errors import SpiceError, TrainingError

_STEPS = "progress.jsonl"


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Job(_Message):
    """What the ranks are to do.

    Attributes:
        corpus: reference of the dataset version.
        run: name of the run.
        config: its configuration.
        resume: whether it goes on.
        from_iteration: where, if not from the last state.
        parent: the process that started the ranks.
    """

    corpus: str
    run: str
    config: Config
    resume: bool
    from_iteration: int | None = None
    parent: int

    def write(self, folder: Path) -> None:
        """Leave it for the ranks."""
        (folder / "job.json").write_text(self.model_dump_json())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Find it. Raises `TrainingError`."""
        try:
            return cls.model_validate_json((folder / "job.json").read_bytes())
        except (OSError, ValidationError) as error:
            raise TrainingError(f"{folder} holds no job for a rank; `spice train --ranks N` starts ranks.") from error


class Step(_Message):
    """One call of `Progress`."""

    done: int
    total: int
    what: str
    note: str

    def append(self, folder: Path) -> None:
        """Tell it, after those before."""
        with (folder / _STEPS).open("a") as file:
            file.write(self.model_dump_json() + "\n")

    @classmethod
    def read(cls, folder: Path, known: int) -> list[Self]:
        """All steps told so far but the first `known`."""
        path = folder / _STEPS
        lines = path.read_text().split("\n")[known:-1] if path.exists() else []
        return [cls.model_validate_json(line) for line in lines]


class Ending(_Message):
    """How a rank ended.

    Attributes:
        at: when, in seconds since the epoch.
        base: reference of the base, if the run was trained.
        checkpoints: (iteration, reference) of all checkpoints, if it was.
        interrupted: it was asked to stop, and has saved everything.
        error: the class of what it raised, the nearest that `spice.errors` has.
        message: what that said.
        peers_gone: it only ended because another rank was gone.
    """

    at: float
    base: str = ""
    checkpoints: tuple[tuple[int, str], ...] = ()
    interrupted: bool = False
    error: str | None = None
    message: str = ""
    peers_gone: bool = False

    @classmethod
    def of(cls, error: SpiceError, at: float, *, peers_gone: bool = False) -> Self:
        """The end by an error."""
        kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == errors.__name__)
        return cls(at=at, error=kind, message=str(error), peers_gone=peers_gone)

    def exception(self) -> SpiceError:
        """What the rank raised."""
        kind = getattr(errors, self.error or "", TrainingError)
        return kind(self.message)

    def write(self, folder: Path, rank: int) -> None:
        """Tell it."""
        fresh = folder / f"ending-{rank}.new"
        fresh.write_text(self.model_dump_json())
        fresh.replace(folder / f"ending-{rank}.json")

    @classmethod
    def read(cls, folder: Path) -> dict[int, Self]:
        """The endings of those ranks that said how they ended."""
        found = {}
        for path in folder.glob("ending-*.json"):
            with suppress(OSError, ValidationError):
                found[int(path.stem.partition("-")[2])] = cls.model_validate_json(path.read_bytes())
        return found
