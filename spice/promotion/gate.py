"""The gate: policies' decision on the facts, signed, and checked again before anything goes live."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from spice.config import PromotionConfig
from spice.errors import ConflictError, IntegrityError, NotFoundError, RefusedError
from spice.promotion import evidence, policy, statement
from spice.promotion.facts import GateFacts, settings_of
from spice.promotion.policy import Outcome, Policy
from spice.store import artifacts
from spice.store.base import ObjectStore
from spice.store.canonical import digest, dumps
from spice.store.refs import digest_of
from spice.trust import dsse
from spice.trust.keyring import Keyring, Proof
from spice.trust.ledger import Clock, utc_now
from spice.trust.signing import Hex64, Signed, Signer

PREFIX = "decisions"
POLICIES = "policies"
_KIND = "decision"
_INDEX = "index/decisions/"
_WORST_FIRST: tuple[Outcome, ...] = ("fail", "inconclusive", "pass")


class PolicyAnswer(BaseModel):
    """What one policy answered. `name` is "built-in" or the name of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    digest: Hex64
    outcome: Outcome


class Decision(BaseModel):
    """What the policies made of the facts. Only "pass" lets a candidate be requested; "inconclusive" is no pass.

    Attributes:
        outcome: the worst of all answers.
        reasons: of all policies, in their order.
        policy: "built-in" or "user": the policy, which further ones may stand beside.
        policy_digest: SHA-256 of its text; if there are further ones, of the list of all their digests.
        policies: each policy's own answer.
        facts_digest: SHA-256 of the facts.
        facts: what the policies were told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Outcome
    reasons: tuple[str, ...]
    policy: str
    policy_digest: Hex64
    policies: tuple[PolicyAnswer, ...]
    facts_digest: Hex64
    facts: GateFacts


def judge(store: ObjectStore, evaluation: str, config: PromotionConfig) -> Decision:
    """Gather the facts about the candidate of the report `evaluation`, and decide. Raises `RefusedError`."""
    return decide(evidence.gather(store, evaluation, config), config)


def decide(facts: GateFacts, config: PromotionConfig) -> Decision:
    """Put `facts` to the configured policies, all of which must pass.

    Raises:
        RefusedError: a policy cannot be read, or gives no answer.
    """
    rules = _configured(config)
    known = facts.model_dump(mode="json")
    answers = [policy.evaluate(each, known) for each in rules]
    return Decision(
        outcome=min((answer.outcome for answer in answers), key=_WORST_FIRST.index),
        reasons=tuple(reason for answer in answers for reason in answer.reasons),
        policy="built-in" if config.policy is None else "user",
        policy_digest=_digest_of_all(rules),
        policies=tuple(
            PolicyAnswer(name=each.name, digest=each.digest, outcome=answer.outcome)
            for each, answer in zip(rules, answers, strict=True)
        ),
        facts_digest=digest(dumps(known)),
        facts=facts,
    )


def record(store: ObjectStore, decision: Decision, signer: Signer, clock: Clock = utc_now) -> str:
    """Sign and store a decision with its policies; returns `decisions/<digest>`.

    The same decision by the same person is recorded once, with the time of the first.

    Raises:
        RefusedError: the signer may not request.
    """
    Keyring(store).require(signer, "requester")
    said = decision.model_dump(mode="json")
    said["on_behalf_of"] = signer.principal.model_dump(mode="json") if signer.principal else None
    index = f"{_INDEX}{digest(dumps([signer.name, signer.public_key, said]))}"
    if (known := store.read(index)) is not None and store.head(f"{known[0].decode()}.json") is not None:
        return known[0].decode()
    envelope = dsse.seal(signer, dsse.IN_TOTO, statement.write(_statement(decision, said, clock)))
    ref = artifacts.write_json(store, PREFIX, envelope.model_dump(mode="json"))
    try:
        store.create(index, ref.encode())
    except ConflictError:
        return store.get(index).decode()  # somebody recorded the same in the same moment
    return ref


def keep_policies(store: ObjectStore, config: PromotionConfig) -> None:
    """Store the configured policies' texts under their digests, so that a decision can be made again from them."""
    for each in _configured(config):
        store.put(f"{POLICIES}/{each.digest}.rego", each.text.encode())


def load(store: ObjectStore, ref: str, keyring: Keyring, *, pending: bool = False) -> Decision:
    """A stored decision, its digest and signature checked.

    Args:
        store: where.
        ref: `decisions/<digest>`.
        keyring: whose signatures count.
        pending: see `Keyring.accept`.

    Raises:
        RefusedError: it cannot be trusted.
    """
    try:
        held = dsse.unpack(artifacts.read_json(store, ref))
    except (NotFoundError, IntegrityError, RefusedError) as error:
        raise RefusedError(f"The {_KIND} {ref} cannot be trusted: {error}") from error
    found = statement.read(held.payload)
    said = dict(found.predicate.decision)
    proof = Proof(held.signer, held.payload_type, held.payload, held.signature)
    keyring.accept(proof, _KIND, "requester", said, ref, pending=pending)
    said.pop("on_behalf_of", None)
    try:
        decision = Decision.model_validate(said)
    except ValidationError as error:
        raise RefusedError(f"The {_KIND} {ref} is not one: {error}") from error
    (subject,) = found.subject
    if (subject.name, subject.digest.sha256) != (decision.facts.candidate, digest_of(decision.facts.candidate)):
        raise RefusedError(f"The {_KIND} {ref} is about {subject.name} and speaks of {decision.facts.candidate}.")
    return decision


def confirm(store: ObjectStore, decision: Decision, config: PromotionConfig) -> None:
    """Make sure that `decision` is a pass, here, now, and under this configuration.

    The facts are gathered and judged anew: a signature says who judged, not
    that nothing has changed since or that the thresholds were the agreed ones.

    Raises:
        RefusedError: it is not, with the reasons.
    """
    if decision.outcome != "pass":
        raise RefusedError(f"The gate did not pass this candidate ({decision.outcome}): {' '.join(decision.reasons)}")
    if decision.policy_digest != _digest_of_all(_configured(config)):
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


def opened(
    store: ObjectStore, ref: str, keyring: Keyring, kind: str, *, pending: bool = False
) -> tuple[dict[str, Any], str]:
    """The payload of a signed, content-addressed document of a requester, checked, and the name of its signer.

    Raises:
        RefusedError: it cannot be trusted.
    """
    try:
        sealed = Signed.model_validate(artifacts.read_json(store, ref))
    except (NotFoundError, IntegrityError, ValidationError) as error:
        raise RefusedError(f"The {kind} {ref} cannot be trusted: {error}") from error
    return keyring.open(sealed, kind, "requester", ref, pending=pending), sealed.signer


def _configured(config: PromotionConfig) -> list[Policy]:
    return [policy.load(path) for path in (config.policy, *config.policies)]


def _digest_of_all(rules: list[Policy]) -> str:
    digests = [each.digest for each in rules]
    return digests[0] if len(digests) == 1 else digest(dumps(digests))


def _statement(decision: Decision, said: dict[str, Any], clock: Clock) -> statement.Statement:
    return statement.Statement(
        subject=(statement.resource(decision.facts.candidate, digest_of(decision.facts.candidate)),),
        predicate=statement.Predicate(
            verifier=statement.Verifier(policy=tuple(statement.resource(p.name, p.digest) for p in decision.policies)),
            time_created=clock(),
            properties=(statement.PASSED,) if decision.outcome == "pass" else (),
            decision=said,
        ),
    )
