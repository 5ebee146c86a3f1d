"""What both roles earn for an iteration's play (paper section 3, and the recipes that it is compared with)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from spice.selfplay.recipes import Recipe
from spice.selfplay.repetition import repetition_penalties
from spice.selfplay.rewards import challenger_reward, composite_rewards, reasoner_rewards, without_repetition
from spice.training.outputs import Answers
from spice.training.played import Played


def pay(played: Sequence[Played], system: Recipe, rng: random.Random) -> None:
    """Enter the rewards of both roles into the record.

    Args:
        played: the attempts with their answers.
        system: the recipe.
        rng: draws the rewards of the control arm, and is used by no other recipe.
    """
    for one in played:
        one.reward = _challenger_pay(one, system, rng)
        if one.answers:
            one.answer_rewards = _reasoner_pay(one.answers, system, rng)
    if system.repetition_penalty:
        valid = [one for one in played if one.answers and one.attempt.task]
        penalties = repetition_penalties([one.attempt.task.question for one in valid if one.attempt.task])
        for one, reward in zip(valid, without_repetition([one.reward for one in valid], penalties), strict=True):
            one.reward = reward


def _challenger_pay(one: Played, system: Recipe, rng: random.Random) -> float:
    if system.reward == "random":
        return rng.random()
    if one.answers is None:
        return system.invalid_reward if one.attempt.checks else system.malformed_reward
    # A Challenger that does not learn is paid all the same, so that its tasks can be compared.
    return challenger_reward(one.answers.correct, kind=system.reward or "variance")


def _reasoner_pay(answers: Answers, system: Recipe, rng: random.Random) -> list[float]:
    match system.reasoner_reward:
        case "correct":
            return [float(reward) for reward in reasoner_rewards(answers.correct)]
        case "composite":
            return [float(reward) for reward in composite_rewards(answers.verdicts)]
        case "random":
            return [float(rng.random() < 0.5) for _ in answers.verdicts]
