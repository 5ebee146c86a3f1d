"""One iteration of self-play, as the paper's algorithm has it (section 3, algorithm 1).

documents  = B documents, drawn uniformly
attempts   = Challenger(document), G kept at the sampled valid:invalid ratio
answers    = Reasoner(question) x G for each valid attempt          the document is hidden
rewards    = variance of the answers for a valid attempt, a penalty for an invalid one;
             one valid task per document trains the Reasoner: 1 for the gold answer, else 0
advantage  = reward - mean reward, within each role                 DrGRPO
update     = policy gradient on both roles' trajectories

The recipes that SPICE is compared with change single lines of this: see `spice.selfplay.recipes`.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spice.config import RecipeConfig
from spice.learner.base import Learner, Role, Trajectory, UpdateStats
from spice.rollout.base import Completion, Engine, EngineStats
from spice.selfplay import recipes
from spice.selfplay.advantages import Move, advantages
from spice.selfplay.labels import majority
from spice.selfplay.recipes import SPICE, Recipe
from spice.selfplay.sampling import choose_task
from spice.selfplay.selection import Groups, select
from spice.selfplay.types import NO_DOCUMENT, Document, Documents, Oracle
from spice.training import probes
from spice.training.outputs import Answers, Attempt
from spice.training.pay import pay
from spice.training.play import Players, Seeds, seed_stream
from spice.training.played import Outcome, Played

Clock = Callable[[], float]
Pose = Callable[[Players, int, Seeds], list[list[Attempt]]]
"""Poses an iteration's tasks, given who poses, the iteration and its seeds; attempts by what they are about."""
# When no document of a batch offers anything to ask for, there is nothing to learn from and the weights stay.
_NO_UPDATE = UpdateStats(
    loss=0.0, grad_norm=0.0, logprob_gap_mean=0.0, logprob_gap_max=0.0, clipped_share=0.0, tokens=0
)


@dataclass(frozen=True)
class Seat:
    """A Challenger with weights of its own.

    Attributes:
        players: poses tasks with these weights.
        engine: generates with them.
        learner: improves them; `None` if they stay as they are.
    """

    players: Players
    engine: Engine
    learner: Learner | None = None


@dataclass(frozen=True)
class Rolled:
    """An iteration that was played and not yet learned from.

    Attributes:
        iteration: its number.
        played: everything that was posed and answered.
        lessons: what is learned from.
        skipped_documents: documents about which no valid task was posed.
        seconds: by phase.
        rollout: what the engines did.
        challenger_share: the Challenger's share of the update's weight, `None` if one role learns alone.
    """

    iteration: int
    played: list[Played]
    lessons: list[Trajectory]
    skipped_documents: int
    seconds: dict[str, float]
    rollout: EngineStats
    challenger_share: float | None


def iterate(
    iteration: int,
    corpus: Documents,
    players: Players,
    engine: Engine,
    learner: Learner,
    recipe: RecipeConfig,
    seed: int,
    clock: Clock = time.monotonic,
    *,
    challenger: Seat | None = None,
    pose: Pose | None = None,
    oracle: Oracle | None = None,
) -> Outcome:
    """Play one iteration, learn from it, and give the engine the new weights.

    Args:
        iteration: its number, from 1.
        corpus: what documents are drawn from.
        players: both roles, or the Reasoner alone.
        engine: generates with the policy's weights.
        learner: improves them.
        recipe: what is played.
        seed: of the run.
        clock: seconds.
        challenger: who poses tasks, if not the policy itself.
        pose: what tasks come from, if not from the corpus.
        oracle: grades tasks, for the record alone.
    """
    rolled = roll_out(
        iteration, corpus, players, engine, recipe, seed, clock, challenger=challenger, pose=pose, oracle=oracle
    )
    start = clock()
    update = learn(rolled, learner, challenger, recipe.updates_per_iteration)
    publish(rolled, engine, learner, challenger)
    return outcome(rolled, update, clock() - start)


def roll_out(
    iteration: int,
    corpus: Documents,
    players: Players,
    engine: Engine,
    recipe: RecipeConfig,
    seed: int,
    clock: Clock = time.monotonic,
    *,
    challenger: Seat | None = None,
    pose: Pose | None = None,
    oracle: Oracle | None = None,
    scores: NDArray[np.float64] | None = None,
    mixture: Groups | None = None,
) -> Rolled:
    """Play one iteration with the weights that the engines have; see `iterate`.

    `scores` say how promising each document is, where the sampling asks for it: shape [corpus], at least 0.
    `mixture` says which documents its patterns mean, where that is known.
    """
    system = recipes.resolve(recipe)
    challenger_learns, reasoner_learns = recipes.learning_roles(system, recipe, iteration)
    seeds = seed_stream(seed, iteration)
    watch = _Stopwatch(clock)
    engines = [engine, challenger.engine] if challenger else [engine]
    before = _work(engines)

    poser = challenger.players if challenger else players
    voted = system.labels == "majority"
    votes = recipe.votes if voted else None
    if pose is None:
        documents = _draw_documents(system, corpus, recipe, seed, iteration, scores, mixture)
        answered = players.play(documents, seeds, poser=poser, group=votes, posed=lambda: watch.lap("challenge"))
    else:
        posed = pose(poser, iteration, seeds)
        watch.lap("challenge")
        answered = _answer(posed, players, seeds, votes)
    groups = [[Played(attempt, answers=answers) for attempt, answers in attempts] for attempts in answered]
    played = [one for group in groups for one in group]
    if voted:
        _label_by_vote(played, players)
    pay(played, system, random.Random(seeds("reward")))
    watch.lap("answer")

    if reasoner_learns:
        for i, group in enumerate(groups):
            _train_on_one(group, random.Random(seeds("train", i)), recipe if voted else None)

    probes.audit(played, players, recipe.audit_tasks)
    probes.guess(played, players, recipe.choices_only_tasks)
    if oracle:
        probes.ask_oracle(played, players, oracle)
    watch.lap("audit")

    rollout = _work(engines) - before
    lessons = trajectories(played, recipe.temperature, system, challenger_learns)
    skipped = sum(not any(one.answers for one in group) for group in groups)
    return Rolled(iteration, played, lessons, skipped, watch.seconds, rollout, _challenger_share(lessons, recipe))


def learn(rolled: Rolled, learner: Learner, challenger: Seat | None, steps: int) -> UpdateStats:
    """Update whoever has something to learn from an iteration.

    A Challenger that learns on weights of its own takes turns with the Reasoner, so there is one update to tell of.
    """
    update = _NO_UPDATE
    for role_learner, part in _pupils(rolled, learner, challenger):
        update = role_learner.update(part, steps)
    return update


def publish(rolled: Rolled, engine: Engine, learner: Learner, challenger: Seat | None) -> None:
    """Give the weights of whoever learned from an iteration to the engine that generates with them."""
    for role_learner, _ in _pupils(rolled, learner, challenger):
        role_engine = engine if role_learner is learner or challenger is None else challenger.engine
        role_engine.update_weights(role_learner.weights())


def outcome(rolled: Rolled, update: UpdateStats, seconds: float) -> Outcome:
    """The record of an iteration that was learned from in so many seconds."""
    return Outcome(
        rolled.iteration,
        rolled.played,
        rolled.skipped_documents,
        update,
        {**rolled.seconds, "update": seconds},
        rolled.challenger_share,
        rolled.rollout,
    )


def trajectories(
    played: Sequence[Played], temperature: float, system: Recipe = SPICE, challenger_learns: bool = True
) -> list[Trajectory]:
    """What is learned from, each with its advantage: in SPICE over its own role's mean reward (paper section 3).

    Args:
        played: the iteration's attempts.
        temperature: at which both roles were sampled.
        system: the recipe; names the estimator.
        challenger_learns: whether the Challenger's attempts are among them.
    """
    moves: list[Move] = []
    sampled: list[tuple[Role, tuple[int, ...], Completion]] = []

    def add(
        role: Role, one: Played, group: Hashable, prompt: tuple[int, ...], completion: Completion, reward: float
    ) -> None:
        moves.append(Move(role, group, one.attempt.kind, reward))
        sampled.append((role, prompt, completion))

    for one in played:
        if challenger_learns and one.attempt.completion:
            add("challenger", one, one.attempt.prompt, one.attempt.prompt, one.attempt.completion, one.reward)
    for task, one in enumerate(played):
        if one.trained and one.answers:
            for prompt, completion, reward in zip(
                one.answers.prompts, one.answers.completions, one.answer_rewards, strict=True
            ):
                add("reasoner", one, task, prompt, completion, reward)
    return [
        Trajectory(role, prompt, c.tokens, c.logprobs, float(advantage), temperature, c.allowed)
        for (role, prompt, c), advantage in zip(sampled, advantages(moves, system.estimator), strict=True)
    ]


def _draw_documents(
    system: Recipe,
    corpus: Documents,
    recipe: RecipeConfig,
    seed: int,
    iteration: int,
    scores: NDArray[np.float64] | None,
    mixture: Groups | None,
) -> list[Document]:
    """What the tasks of an iteration are about."""
    if system.source == "nothing":
        return [NO_DOCUMENT] * recipe.batch_documents
    return [corpus[i] for i in select(corpus, recipe, seed, iteration, scores, mixture)]


def _answer(
    posed: Sequence[Sequence[Attempt]], players: Players, seeds: Seeds, group: int | None
) -> list[list[tuple[Attempt, Answers | None]]]:
    """Attempts with the answers to those that are valid."""
    named = [((i, k), one.task) for i, attempts in enumerate(posed) for k, one in enumerate(attempts) if one.task]
    answers = iter(players.answer([task for _, task in named], seeds, group, [name for name, _ in named]))
    return [[(attempt, next(answers) if attempt.task else None) for attempt in attempts] for attempts in posed]


def _label_by_vote(played: Sequence[Played], players: Players) -> None:
    """Take what most answers say for gold; a task that nobody gives a readable answer to is none."""
    for one in played:
        task = one.attempt.task
        if task and one.answers:
            found = majority([verdict.extracted for verdict in one.answers.verdicts], one.answers.shown)
            if found is None:
                one.attempt = replace(one.attempt, task=None, reason="no answer to it can be read")
                one.answers = None
            else:
                one.attempt = replace(one.attempt, task=replace(task, answer=found.answer))
                one.answers = players.rejudge(one.answers, found.answer)


def _train_on_one(group: Sequence[Played], rng: random.Random, voting: RecipeConfig | None) -> None:
    """Draw the valid task of a document that trains the Reasoner, if there is one; `voting` rules out decided votes."""
    fit = [one.answers is not None and (voting is None or _undecided(one.answers, voting)) for one in group]
    chosen = choose_task(fit, rng)
    if chosen is not None:
        group[chosen].trained = True


def _undecided(answers: Answers, recipe: RecipeConfig) -> bool:
    """Whether a vote is near enough to 1/2 to be worth learning from (R-Zero, section 3.3)."""
    share = sum(answers.correct) / len(answers.correct)
    return abs(share - 0.5) <= recipe.vote_margin


def _challenger_share(lessons: Sequence[Trajectory], recipe: RecipeConfig) -> float | None:
    """The Challenger's share of the summed size of the terms of the loss, before the policy's own gradients.

    A gradient norm for each role would cost a second backward pass.
    """
    weight = dict.fromkeys(("challenger", "reasoner"), 0.0)
    budgets = {"challenger": recipe.challenger_tokens, "reasoner": recipe.reasoner_tokens}
    counts = Counter(lesson.role for lesson in lessons)
    for lesson in lessons:
        weight[lesson.role] += abs(lesson.advantage) * len(lesson.tokens) / budgets[lesson.role] / counts[lesson.role]
    total = sum(weight.values())
    return weight["challenger"] / total if total and len(counts) == 2 else None


def _pupils(rolled: Rolled, learner: Learner, challenger: Seat | None) -> list[tuple[Learner, list[Trajectory]]]:
    """Who learns from an iteration, and what: the Challenger on its own weights first, then the policy."""
    if challenger is None or challenger.learner is None:
        parts = [(learner, list(rolled.lessons))]
    else:
        own = [lesson for lesson in rolled.lessons if lesson.role == "challenger"]
        parts = [(challenger.learner, own), (learner, [one for one in rolled.lessons if one.role == "reasoner"])]
    return [(pupil, part) for pupil, part in parts if part]


def _work(engines: Sequence[Engine]) -> EngineStats:
    return sum((engine.stats() for engine in engines), EngineStats())


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
