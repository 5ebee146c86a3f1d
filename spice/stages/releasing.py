"""The stages that decide what is live: gate, request, promotion, rollback."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from spice.config import Config
from spice.promotion import gate, release
from spice.promotion import request as requests
from spice.promotion.gate import Decision
from spice.promotion.release import Status
from spice.store import open_store

if TYPE_CHECKING:
    from spice.trust.signing import Signer


def decide(evaluation: str, config: Config) -> Decision:
    """Ask the gate about an evaluation; nothing is stored. Raises `RefusedError` if it cannot be judged."""
    return gate.judge(open_store(config.store), evaluation, config.promotion)


def request_promotion(
    decision: Decision, config: Config, signer: Signer, clock: Callable[[], datetime]
) -> tuple[str, str | None]:
    """Sign and store the gate's decision and, if it is a pass, ask for the release.

    Returns:
        References of the decision and of the request, `None` if the gate did not pass it.
    """
    store = open_store(config.store)
    recorded = gate.record(store, decision, signer, clock)
    gate.keep_policies(store, config.promotion)
    passed = decision.outcome == "pass"
    return recorded, requests.request(store, recorded, signer, clock) if passed else None


def judge(evaluation: str, config: Config, signer: Signer) -> tuple[str, Decision]:
    """Ask the gate about an evaluation, and sign and store its answer, a no as well as a pass.

    Returns:
        The reference of the decision, and the decision.
    """
    decision = decide(evaluation, config)
    store = open_store(config.store)
    gate.keep_policies(store, config.promotion)
    return gate.record(store, decision, signer), decision


def verify_promotion(request: str, config: Config, clock: Callable[[], datetime]) -> tuple[str, ...]:
    """Who approved a request, if it could be promoted now. Raises `RefusedError` if it could not; changes nothing."""
    return release.verify(open_store(config.store), request, config.promotion, clock)


def promote(request: str, config: Config, signer: Signer, clock: Callable[[], datetime]) -> Status:
    """Make the candidate of an approved request live; see `spice.promotion.release`."""
    return release.promote(open_store(config.store), request, signer, config.promotion, clock)


def rollback(to: str | None, reason: str, config: Config, signer: Signer, clock: Callable[[], datetime]) -> Status:
    """Go back to the release before the live one, or to the earlier release `to`."""
    return release.rollback(open_store(config.store), signer, clock, to, reason)
