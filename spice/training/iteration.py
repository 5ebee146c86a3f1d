"""One iteration of self-play, as the paper's algorithm has it (section 3, algorithm 1).

documents  = B documents, drawn uniformly
attempts   = Challenger(document), G kept at the sampled valid:invalid ratio
answers    = Reasoner(question) x G for each valid attempt          the document is hidden
rewards    = variance of the answers for a valid attempt, a penalty for an invalid one;
             one valid task per document trains the Reasoner: 1 for the gold answer, else 0
advantage  = reward - mean reward, within each role                 DrGRPO
update     = policy gradient on both roles' trajectories
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spice.config import RecipeConfig
from spice.learner.base import Learner, Role, Trajectory, UpdateStats
from spice.rollout.base import Completion, Engine
from spice.selfplay.advantages import drgrpo_advantages
from spice.selfplay.rewards import challenger_reward, reasoner_rewards
from spice.selfplay.sampling import choose_task, draw_documents
from spice.selfplay.types import Document
from spice.training.play import Answers, Attempt, Players, seed_stream

Clock = Callable[[], float]
# When no document of a batch offers anything to ask for, there is nothing to learn from and the weights stay.
_NO_UPDATE = UpdateStats(
    loss=0.0, grad_norm=0.0, logprob_gap_mean=0.0, logprob_gap_max=0.0, clipped_share=0.0, tokens=0
)


@dataclass
class Played:
    """A Challenger attempt and all that came of it.

    Attributes:
        attempt: what the Challenger wrote.
        reward: what it earned.
        answers: the Reasoner's answers, `None` if the attempt was invalid.
        trained: whether the Reasoner learns from these answers.
        audit: the policy's answer with the document, where it was audited.
    """

    attempt: Attempt
    reward: float
    answers: Answers | None = None
    trained: bool = False
    audit: Answers | None = None


@dataclass(frozen=True)
class Outcome:
    """One iteration's record: everything posed and answered, what the update did, and seconds by phase."""

    iteration: int
    played: list[Played]
    skipped_documents: int
    update: UpdateStats
    seconds: dict[str, float]


def iterate(
    iteration: int,
    corpus: Sequence[Document],
    players: Players,
    engine: Engine,
    learner: Learner,
    recipe: RecipeConfig,
    seed: int,
    clock: Clock = time.monotonic,
) -> Outcome:
    """Play one iteration, learn from it, and give the engine the new weights."""
    seeds = seed_stream(seed, iteration)
    watch = _Stopwatch(clock)

    batch = [corpus[i] for i in draw_documents(len(corpus), recipe.batch_documents, seed, iteration)]
    by_document = players.challenge(batch, seeds)
    watch.lap("challenge")

    valid = [attempt for attempts in by_document for attempt in attempts if attempt.task]
    answered = iter(players.answer([attempt.task for attempt in valid if attempt.task], seeds))
    groups = [
        [_played(attempt, next(answered) if attempt.task else None, recipe) for attempt in attempts]
        for attempts in by_document
    ]
    watch.lap("answer")

    for i, group in enumerate(groups):
        chosen = choose_task([one.answers is not None for one in group], random.Random(seeds("train", i)))
        if chosen is not None:
            group[chosen].trained = True
    played = [one for group in groups for one in group]
    _audit(played, players, recipe.audit_tasks)
    watch.lap("audit")

    lessons = trajectories(played, recipe.temperature)
    update = _NO_UPDATE
    if lessons:
        update = learner.update(lessons, recipe.updates_per_iteration)
        engine.update_weights(learner.weights())
    watch.lap("update")
    skipped = sum(not any(one.answers for one in group) for group in groups)
    return Outcome(iteration, played, skipped, update, watch.seconds)


def trajectories(played: Sequence[Played], temperature: float) -> list[Trajectory]:
    """What both roles learn from, each with its advantage over its own role's mean reward (paper section 3)."""

    def role_batch(
        role: Role, moves: list[tuple[tuple[int, ...], Completion]], rewards: list[float]
    ) -> list[Trajectory]:
        advantages = drgrpo_advantages(rewards)
        return [
            Trajectory(role, prompt, c.tokens, c.logprobs, float(advantage), temperature, c.allowed)
            for (prompt, c), advantage in zip(moves, advantages, strict=True)
        ]

    attempts = [(one.attempt.prompt, one.attempt.completion) for one in played]
    challenger = role_batch("challenger", attempts, [one.reward for one in played])
    lessons = [one.answers for one in played if one.trained and one.answers]
    answers = [move for lesson in lessons for move in zip(lesson.prompts, lesson.completions, strict=True)]
    rewards = [float(r) for lesson in lessons for r in reasoner_rewards(lesson.correct)]
    return challenger + role_batch("reasoner", answers, rewards)


def _played(attempt: Attempt, answers: Answers | None, recipe: RecipeConfig) -> Played:
    reward = challenger_reward(answers.correct if answers else None, recipe.invalid_reward)
    return Played(attempt, reward, answers)


def _audit(played: Sequence[Played], players: Players, limit: int) -> None:
    """Let the policy answer some of the tasks that train the Reasoner with the document in sight."""
    audited = [one for one in played if one.trained][:limit]
    tasks = [(one.attempt.task, one.attempt.document) for one in audited if one.attempt.task]
    if tasks:
        for one, answers in zip(audited, players.audit(tasks), strict=True):
            one.audit = answers


class _Stopwatch:
    """Seconds since the last lap, by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock()
        self.seconds: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = self._clock()
        self.seconds[name] = now - self._last
        self._last = now
