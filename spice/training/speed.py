"""How fast an iteration was, and what the machines were doing meanwhile."""

from __future__ import annotations

from spice.training.played import Outcome

_ROLLOUT = ("challenge", "answer", "audit")


def speed(outcome: Outcome, ranks: int) -> dict[str, float | None]:
    """Figures of an iteration that are about time; `None` where nothing was measured.

    Args:
        outcome: the iteration, with what the engines of all ranks did.
        ranks: how many ranks there were, each with an engine.

    Returns:
        `generated_tokens_per_second`: by all engines, over the phases in which they generate.
        `trained_tokens_per_second`: tokens run through the learner, shared prefixes once, over the update.
        `engine_idle_share`: of the iteration's time, in which an engine did not generate, mean over the engines.
        `prompt_cached_share`: of the prompts' tokens that no engine had to compute.
        `padding_share`, `mfu`: see `spice.learner.base.UpdateStats`.
    """
    update, rollout = outcome.update, outcome.rollout
    generating = sum(outcome.seconds.get(phase, 0.0) for phase in _ROLLOUT)
    total = sum(outcome.seconds.values())
    return {
        "generated_tokens_per_second": _ratio(rollout.generated_tokens, generating),
        "trained_tokens_per_second": _ratio(update.tokens, update.seconds),
        "engine_idle_share": None if not total else max(0.0, 1 - rollout.seconds / (ranks * total)),
        "prompt_cached_share": _ratio(rollout.cached_tokens, rollout.prompt_tokens),
        "padding_share": update.padding_share,
        "mfu": update.mfu,
    }


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
