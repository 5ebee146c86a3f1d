"""The gate: a policy's decision on the facts, signed, and checked again before anything goes live."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from spice.config import PromotionConfig
from spice.errors import IntegrityError, NotFoundError, RefusedError
from spice.promotion import evidence, policy
from spice.promotion.facts import GateFacts, settings_of
from spice.promotion.policy import Outcome
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.canonical import digest, dumps
from spice.trust.keyring import Keyring
from spice.trust.signing import Hex64, Signed, Signer

PREFIX = "decisions"
_KIND = "decision"


class Decision(BaseModel):
    """What a policy made of the facts. Only "pass" lets a candidate be requested; "inconclusive" is no pass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Outcome
    reasons: tuple[str, ...]
    policy: str
    policy_digest: Hex64
    facts_digest: Hex64
    facts: GateFacts


def judge(store: ObjectStore, evaluation: str, config: PromotionConfig) -> Decision:
    """Gather the facts about the candidate of the report `evaluation`, and decide. Raises `RefusedError`."""
    return decide(evidence.gather(store, evaluation, config), config)


def decide(facts: GateFacts, config: PromotionConfig) -> Decision:
    """Put `facts` to the configured policy. Raises `RefusedError` if the policy cannot be read or gives no answer."""
    rules = policy.load(config.policy)
    known = facts.model_dump(mode="json")
    answer = policy.evaluate(rules, known)
    return Decision(
        outcome=answer.outcome,
        reasons=answer.reasons,
        policy="built-in" if config.policy is None else "user",
        policy_digest=rules.digest,
        facts_digest=digest(dumps(known)),
        facts=facts,
    )


def record(store: ObjectStore, decision: Decision, signer: Signer) -> str:
    """Sign and store a decision; returns `decisions/<digest>`. Raises `RefusedError` if the signer may not request."""
    Keyring(store).require(signer, "requester")
    sealed = signer.seal(_KIND, decision.model_dump(mode="json"))
    return artifacts.write_json(store, PREFIX, sealed.model_dump(mode="json"))


def load(store: ObjectStore, ref: str, keyring: Keyring) -> Decision:
    """A stored decision, its digest and signature checked. Raises `RefusedError`."""
    return Decision.model_validate(opened(store, ref, keyring, _KIND))


def confirm(store: ObjectStore, decision: Decision, config: PromotionConfig) -> None:
    """Make sure that `decision` is a pass, here, now, and under this configuration.

    The facts are gathered and judged anew: a signature says who judged, not
    that nothing has changed since or that the thresholds were the agreed ones.

    Raises:
        RefusedError: it is not, with the reasons.
    """
    if decision.outcome != "pass":
        raise RefusedError(f"The gate did not pass this candidate ({decision.outcome}): {' '.join(decision.reasons)}")
    if decision.policy_digest != policy.load(config.policy).digest:
        raise RefusedError(
            "The decision was made under another gate policy than the configured one. Evaluate and request again, "
            "or run with the configuration that names that policy."
        )
    ours = settings_of(config)
    if decision.facts.settings != ours:
        asked, judged = ours.model_dump(), decision.facts.settings.model_dump()
        changed = ", ".join(f"promotion.{k} {judged[k]}, now {asked[k]}" for k in asked if asked[k] != judged[k])
        raise RefusedError(
            f"The decision was made under other settings than the configured ones ({changed}). Use the same --preset, "
            "--config and --set as then, or request again under these."
        )
    again = judge(store, decision.facts.evaluation, config)
    if again != decision:
        raise RefusedError(
            f"The evidence in the store no longer gives the decision that was made ({again.outcome}): "
            f"{' '.join(again.reasons)} Evaluate and request again."
        )


def opened(store: ObjectStore, ref: str, keyring: Keyring, kind: str) -> dict[str, Any]:
    """The payload of a signed, content-addressed document of a requester, checked. Raises `RefusedError`."""
    try:
        sealed = Signed.model_validate(artifacts.read_json(store, ref))
    except (NotFoundError, IntegrityError, ValidationError) as error:
        raise RefusedError(f"The {kind} {ref} cannot be trusted: {error}") from error
    return keyring.open(sealed, kind, "requester")
