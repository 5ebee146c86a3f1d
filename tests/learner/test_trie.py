"""The packing: every path through the trie is the plain sequence, and nothing is lost or counted twice."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spice.learner.base import Trajectory
from spice.learner.trie import Packed, pack


def make(prompt, tokens, advantage=1.0, temperature=1.0):
    logprobs = np.array([-float(t) for t in tokens], dtype=np.float32)
    return Trajectory("reasoner", tuple(prompt), tuple(tokens), logprobs, advantage, temperature)


def path(packed: Packed, index: int) -> list[int]:
    """The tokens that token `index` sees, itself included, in order of position."""
    seen = [i for i in range(index + 1) if i <= index < packed.ends[i]]
    assert [packed.positions[i] for i in seen] == list(range(len(seen)))
    return [int(packed.tokens[i]) for i in seen]


tokens = st.lists(st.integers(0, 3), min_size=1, max_size=5)
batches = st.lists(st.tuples(tokens, tokens, st.floats(-1, 1, allow_nan=False)), min_size=1, max_size=12)


@given(batches, st.integers(1, 40))
def test_every_trained_token_sees_its_own_sequence(batch, budget):
    trajectories = [make(p, t, a) for p, t, a in batch]
    wanted: dict[tuple[int, ...], float] = {}
    for t in trajectories:
        for step in range(len(t.tokens)):
            key = (len(t.prompt), *t.prompt, *t.tokens[: step + 1])
            wanted[key] = wanted.get(key, 0.0) + t.advantage
    total = 0.0
    for packed in pack(trajectories, [1.0] * len(trajectories), budget):
        for place, target in enumerate(packed.targets):
            sequence = path(packed, int(target))
            assert sequence[:-1] == path(packed, int(packed.sources[place]))
            assert any(key[1:] == tuple(sequence) for key in wanted)
            assert packed.logprobs[place] == -float(sequence[-1])
            total += float(packed.gains[place] + packed.losses[place])
    np.testing.assert_allclose(total, sum(wanted.values()), atol=1e-5)


@given(batches)
def test_one_trie_holds_each_distinct_prefix_once(batch):
    trajectories = [make(p, t, a) for p, t, a in batch]
    (packed,) = pack(trajectories, [1.0] * len(trajectories), 10_000)
    paths = [tuple(path(packed, i)) for i in range(len(packed.tokens))]
    prompts = {t.prompt[: i + 1] for t in trajectories for i in range(len(t.prompt))}
    answers = {(t.prompt, t.tokens[: i + 1]) for t in trajectories for i in range(len(t.tokens))}
    assert len(paths) == len(prompts) + len(answers)
    assert set(paths) == prompts | {prompt + answer for prompt, answer in answers}


def test_a_budget_bounds_each_trie_but_never_splits_a_trajectory():
    trajectories = [make([i, 1, 2], [3, 4]) for i in range(6)] + [make(range(30), [1])]
    sizes = [len(p.tokens) for p in pack(trajectories, [1.0] * 7, 10)]
    assert max(s for s in sizes if s != 31) <= 10
    assert 31 in sizes or any(s >= 31 for s in sizes)


def test_equal_answers_at_different_temperatures_stay_apart():
    (packed,) = pack([make([1], [2], 1.0, 1.0), make([1], [2], 1.0, 0.5)], [1.0, 1.0], 100)
    assert sorted(packed.temperatures) == [0.5, 1.0]
