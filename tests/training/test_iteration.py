"""One iteration: what the Reasoner may see, what is rewarded, what is learned, and that it can be repeated."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from spice.selfplay.rewards import variance_reward
from spice.training.iteration import iterate, trajectories

pytestmark = pytest.mark.torch
RUN_OF_WORDS = 8


def play(table, iterations=1, seed=0, **recipe):
    """Some iterations of the smoke preset on the tiny model, and all that went through the engine."""
    changes = {"batch_documents": 4, "challenger_tokens": 64, **recipe}
    engine, learner = table.engine(), table.learner()
    players, settings = table.players(engine, **changes), table.recipe(**changes)
    learned = []
    update = learner.update

    def remembering(batch, steps):
        learned.append(list(batch))
        return update(batch, steps)

    learner.update = remembering
    outcomes = [
        iterate(i, table.documents, players, engine, learner, settings, seed, clock=lambda: 0.0)
        for i in range(iterations)
    ]
    return SimpleNamespace(
        outcomes=outcomes, learned=learned, requests=engine.requests, weights=dict(learner.weights()), engine=engine
    )


@pytest.fixture(scope="module")
def game(table):
    game = play(table, iterations=3)
    flat = [one for outcome in game.outcomes for one in outcome.played]
    # Without both kinds of attempt most of what follows would hold of anything.
    assert {one.answers is None for one in flat} == {True, False}
    return game


def runs(text):
    words = text.split()
    return {" ".join(words[i : i + RUN_OF_WORDS]) for i in range(len(words) - RUN_OF_WORDS + 1)}


def test_no_reasoner_prompt_holds_a_passage_of_any_document(game, table):
    """The information asymmetry (paper section 3), at the engine's door, where nothing can slip by."""
    passages = set().union(*(runs(document.text) for document in table.documents))
    by_role = defaultdict(set)
    for outcome in game.outcomes:
        for one in outcome.played:
            by_role["challenger"].add(one.attempt.prompt)
            if one.answers:
                task = one.attempt.task
                own_words = runs(" ".join([task.question, *task.options]))
                for tokens in one.answers.prompts:
                    prompt = table.tokenizer.decode(tokens)
                    assert not (runs(prompt) - own_words) & passages
                    assert task.question in prompt
                by_role["reasoner"].update(one.answers.prompts)
            if one.audit:
                by_role["audit"].update(one.audit.prompts)
            if one.guess:
                assert one.attempt.task.question not in table.tokenizer.decode(one.guess.prompts[0])
                by_role["guess"].update(one.guess.prompts)
    assert all(by_role[role] for role in ("challenger", "reasoner", "audit", "guess"))
    # Every request is accounted for, so there is no other way for a document to reach the Reasoner.
    assert {request.prompt for request in game.requests} == set().union(*by_role.values())
    assert not by_role["reasoner"] & (by_role["challenger"] | by_role["audit"])
    assert not any(runs(table.tokenizer.decode(prompt)) & passages for prompt in by_role["guess"])
    for role in ("challenger", "audit"):
        for prompt in by_role[role]:
            assert any(document.text in table.tokenizer.decode(prompt) for document in table.documents)
    # What the Reasoner learns from is what it was asked.
    assert {t.prompt for batch in game.learned for t in batch if t.role == "reasoner"} <= by_role["reasoner"]


def test_rewards_are_the_papers(game, table):
    for outcome in game.outcomes:
        for one in outcome.played:
            if one.answers is None:
                assert one.attempt.task is None and one.attempt.reason
                assert one.reward == -0.1
            else:
                assert len(one.answers.correct) == table.config.recipe.group_size
                assert one.reward == variance_reward(np.mean(one.answers.correct))


def test_one_valid_task_of_each_document_trains_the_reasoner(game):
    for outcome in game.outcomes:
        by_document = defaultdict(list)
        for one in outcome.played:
            by_document[one.attempt.document.id].append(one)
        assert len(by_document) + outcome.skipped_documents >= 4
        for group in by_document.values():
            valid = [one for one in group if one.answers]
            assert sum(one.trained for one in group) == (1 if valid else 0)
            assert all(one.answers for one in group if one.trained)
        assert outcome.skipped_documents == 4 - sum(any(one.answers for one in g) for g in by_document.values())


def test_audits_are_of_trained_tasks_up_to_the_limit(game, table):
    for outcome in game.outcomes:
        trained = [one for one in outcome.played if one.trained]
        assert all(one.trained for one in outcome.played if one.audit)
        assert sum(one.audit is not None for one in outcome.played) == min(
            len(trained), table.config.recipe.audit_tasks
        )


def test_both_roles_learn_from_their_own_moves_around_their_own_mean(game):
    for outcome, batch in zip(game.outcomes, game.learned, strict=True):
        challenger = [t for t in batch if t.role == "challenger"]
        reasoner = [t for t in batch if t.role == "reasoner"]
        assert [t.tokens for t in challenger] == [one.attempt.completion.tokens for one in outcome.played]
        lessons = [one.answers for one in outcome.played if one.trained]
        assert [t.tokens for t in reasoner] == [c.tokens for lesson in lessons for c in lesson.completions]
        rewards = {
            "challenger": [one.reward for one in outcome.played],
            "reasoner": [float(correct) for lesson in lessons for correct in lesson.correct],
        }
        for role, moves in (("challenger", challenger), ("reasoner", reasoner)):
            advantages = [t.advantage for t in moves]
            assert sum(advantages) == pytest.approx(0.0, abs=1e-9)
            np.testing.assert_allclose(advantages, np.array(rewards[role]) - np.mean(rewards[role]), atol=1e-12)
        assert all(t.allowed is not None and t.temperature == 1.0 for t in challenger)
        assert all(t.allowed is None and t.temperature == 1.0 for t in reasoner)


def test_engine_and_learner_agree_on_what_the_policy_says(game):
    assert max(outcome.update.logprob_gap_max for outcome in game.outcomes) < 1e-3


def test_the_engine_goes_on_with_the_learned_weights(game, table):
    start = dict(table.learner().weights())
    moved = [name for name, tensor in game.weights.items() if not tensor.equal(start[name])]
    assert moved
    held = game.engine.engine._model.state_dict()
    assert all(held[name].equal(tensor) for name, tensor in game.weights.items())


def record(game):
    return [
        (
            one.attempt.document.id,
            one.attempt.completion.tokens,
            one.attempt.completion.logprobs.tobytes(),
            one.attempt.task,
            one.attempt.reason,
            one.reward,
            one.trained,
            one.answers and [(c.tokens, c.logprobs.tobytes()) for c in one.answers.completions],
            one.audit and one.audit.completions[0].tokens,
        )
        for outcome in game.outcomes
        for one in outcome.played
    ]


def test_the_same_seed_gives_the_same_records_and_the_same_weights(game, table):
    again = play(table, iterations=3)
    assert record(again) == record(game)
    assert all(tensor.equal(game.weights[name]) for name, tensor in again.weights.items())
    updates, wanted = ([replace(o.update, seconds=0.0) for o in g.outcomes] for g in (again, game))
    assert updates == wanted


def test_another_seed_and_another_iteration_play_another_game(game, table):
    first = [one.attempt.completion.tokens for one in game.outcomes[0].played]
    second = [one.attempt.completion.tokens for one in game.outcomes[1].played]
    other = [one.attempt.completion.tokens for one in play(table, seed=1).outcomes[0].played]
    assert first != second and first != other


def test_seconds_are_told_by_phase(table):
    ticks = iter(range(100))
    engine, learner = table.engine(), table.learner()
    outcome = iterate(
        1, table.documents, table.players(engine), engine, learner, table.recipe(), 0, clock=lambda: float(next(ticks))
    )
    assert outcome.seconds == {"challenge": 1.0, "answer": 1.0, "audit": 1.0, "update": 1.0}


def test_a_batch_without_a_valid_task_teaches_the_challenger_only(table):
    outcome = play(table, challenger_tokens=8).outcomes[0]
    assert [one.attempt.reason for one in outcome.played] == ["cut off at the length limit"] * 8
    assert outcome.skipped_documents == 4
    batch = trajectories(outcome.played, 1.0)
    # All are equally bad, so there is nothing to prefer.
    assert {(t.role, t.advantage) for t in batch} == {("challenger", 0.0)}
