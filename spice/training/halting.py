"""What an alarm does to a run: nothing but a warning, a pause until a person goes on, or the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from spice.config import HealthConfig
from spice.errors import RefusedError
from spice.selfplay.alarms import Alarm
from spice.store.base import ObjectStore

STOPPED: Literal["stopped"] = "stopped"
_STATUS = TypeAdapter(dict[str, object])


class HaltedError(RefusedError):
    """An alarm ended the run, for now or for good.

    Attributes:
        status: what the run's record says of it.
    """

    def __init__(self, message: str, status: Literal["paused", "stopped"]) -> None:
        """Say what happened and what can be done."""
        super().__init__(message)
        self.status = status


def halting(raised: Sequence[Sequence[Alarm]], limits: HealthConfig, run: str, iteration: int) -> HaltedError | None:
    """Decide whether a run may go on after its last iteration.

    An alarm pauses when it is raised and was not in the iteration before, so
    that a person who has looked and gone on is not asked again at each step.

    Args:
        raised: alarms by iteration, oldest first.
        limits: names the action of each.
        run: the run's name.
        iteration: the last one's number.
    """
    now = raised[-1] if raised else ()
    before = {alarm.name for alarm in raised[-2]} if len(raised) > 1 else set()
    actions = limits.actions.model_dump()
    for alarm in now:
        if actions[alarm.name] == "stop":
            return HaltedError(
                f"Run {run} was stopped for good after iteration {iteration} (health.actions.{alarm.name}=stop): "
                f"{alarm.sentence}. Its checkpoint is kept; start a new run once the cause is found.",
                STOPPED,
            )
    for alarm in now:
        if actions[alarm.name] == "pause" and alarm.name not in before:
            return HaltedError(
                f"Run {run} waits for a person after iteration {iteration} (health.actions.{alarm.name}=pause): "
                f"{alarm.sentence}. Look at its report, then go on with --resume {run}, or leave it.",
                "paused",
            )
    return None


def refuse_stopped(store: ObjectStore, run: str) -> None:
    """Refuse to go on with a run that an alarm has stopped for good. Raises `RefusedError`."""
    found = store.read(f"runs/{run}/run.json")
    try:
        stopped = found is not None and _STATUS.validate_json(found[0]).get("status") == STOPPED
    except ValidationError:
        return  # Whoever needs the record says what is wrong with it.
    if stopped:
        raise RefusedError(f"Run {run} was stopped for good by an alarm; start a new run. Its report says why.")
