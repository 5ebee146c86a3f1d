"""What an iteration's record says, on one rank and after other ranks have sent their part."""

from __future__ import annotations

import pytest

from spice.learner.base import UpdateStats
from spice.selfplay.types import Document, Task
from spice.training import wire
from spice.training.iteration import seed_stream
from spice.training.outputs import Answers, Attempt
from spice.training.played import Outcome, Played
from spice.training.records import metrics

pytestmark = pytest.mark.torch
ASKED = [Task("free_form", question, "4", "integer") for question in ("Two and two?", "Three?", "Two and two?")]
GROUP, TOKENS = 2, 4


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize(("share", "groups"), [(True, 2), (False, 3)])
def test_shared_answers_count_once_on_any_number_of_ranks(table, ranks, share, groups):
    engine = table.scripted(lambda prompt, request, copy: "x" * (TOKENS - 1))
    players = table.players(engine, share_answers=share, group_size=GROUP)
    seeds, answers = seed_stream(0, 1), {}
    for rank in range(ranks):
        places = range(rank, len(ASKED), ranks)
        made = players.answer([ASKED[i] for i in places], seeds, names=[(i, 0) for i in places])
        sent = wire.decode(wire.encode(made), list[Answers]) if ranks > 1 else made
        answers |= dict(zip(places, sent, strict=True))
    played = [
        Played(Attempt(Document("d", "d.md", ""), (), None, task, "", {}), answers=answers[i])
        for i, task in enumerate(ASKED)
    ]
    nothing = UpdateStats(
        loss=0.0, grad_norm=0.0, logprob_gap_mean=0.0, logprob_gap_max=0.0, clipped_share=0.0, tokens=0
    )
    tokens = sum(len(one.tokens) for one in answers[0].completions)
    found = metrics(Outcome(1, played, 0, nothing, {}, None), {}, [], ranks)
    assert found["generated_tokens"] == {"challenger": 0, "reasoner": groups * tokens, "audit": 0}
