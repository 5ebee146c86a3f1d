"""Drills on record: each begins and ends with an entry in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import httpx

from spice.errors import RefusedError
from spice.promotion.log import ReleaseLog
from spice.serving import drillflag
from spice.serving.exercise import Exercise, Trial, percentile
from spice.store.base import ObjectStore
from spice.trust.ledger import Clock, Draft
from spice.trust.signing import Signer

_LONGEST_TRIAL = timedelta(seconds=60)


@dataclass(frozen=True)
class Drilled:
    """The result of a drill.

    Attributes:
        release: the live release, on which it was.
        streams: streams held open in each trial.
        trials: what each showed.
        p50: seconds from engaging to the last byte of the release, median over trials.
        p99: 99th percentile.
        longest: the longest.
    """

    release: str
    streams: int
    trials: tuple[Trial, ...]
    p50: float
    p99: float
    longest: float


async def drill(
    store: ObjectStore,
    signer: Signer,
    clock: Clock,
    client: httpx.AsyncClient,
    model: str,
    *,
    trials: int,
    streams: int,
    limit: float,
    report: Callable[[int, int], None],
) -> Drilled:
    """Engage and end a drill `trials` times on the gateways behind `client`, and enter the result in the ledger.

    Args:
        store: the one that the gateways follow.
        signer: an operator.
        clock: dates flags and entries.
        client: speaks to the gateways, with an API key that opens `generate`.
        model: the name that stands for whatever is live.
        trials: how often.
        streams: how many streams are open each time.
        limit: seconds after which the gateways must have stopped, or the drill has failed.
        report: is told how many trials are done, of how many.

    Raises:
        RefusedError: the signer is no operator, nothing is live, the switch is engaged for real, or the drill failed.
    """
    log = ReleaseLog(store)
    log.keyring.require(signer, "operator")
    log.require_disengaged()
    releases = log.effective()
    if not releases:
        raise RefusedError("Nothing is live, so there is nothing to practise on.")
    live = releases[-1]
    _enter(log, signer, clock, Draft("drill.start", live, {"trials": trials, "streams": streams}))
    exercise = Exercise(client, model, live.rpartition("/")[2], limit)
    done: list[Trial] = []
    outcome = "interrupted"
    try:
        for number in range(trials):
            done.append(
                await exercise.trial(
                    streams,
                    lambda: drillflag.begin(store, signer, clock(), _LONGEST_TRIAL),
                    lambda: drillflag.end(store, signer, clock()),
                )
            )
            report(number + 1, trials)
        outcome = "stopped"
    except RefusedError as error:
        outcome = str(error)
        raise
    finally:
        _enter(log, signer, clock, Draft("drill.end", live, {"outcome": outcome, **_figures(done)}))
    seconds = [trial.seconds for trial in done]
    return Drilled(live, streams, tuple(done), percentile(seconds, 0.5), percentile(seconds, 0.99), max(seconds))


def _enter(log: ReleaseLog, signer: Signer, clock: Clock, draft: Draft) -> None:
    log.append(signer, clock, lambda: draft)


def _figures(trials: Sequence[Trial]) -> dict[str, float]:
    """What the ledger keeps; `seconds` is the 99th percentile."""
    if not trials:
        return {"trials": 0}
    seconds = [trial.seconds for trial in trials]
    return {
        "trials": len(trials),
        "streams_cut": sum(trial.streams for trial in trials),
        "seconds": round(percentile(seconds, 0.99), 3),
        "median_seconds": round(percentile(seconds, 0.5), 3),
        "longest_seconds": round(max(seconds), 3),
    }
