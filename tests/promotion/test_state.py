"""Whatever people try, in whatever order: the rules hold in every state that the ledger can reach."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from spice.errors import IntegrityError
from spice.promotion import state as states
from spice.promotion.state import State
from spice.trust.keyring import ROLES, PublicKey
from spice.trust.ledger import Entry

CHECKPOINTS = ("a", "b", "c")
MOVES = ("release", "rollback", "kill.engage", "kill.consent", "kill.release")
attempts = st.tuples(
    st.sampled_from(MOVES),
    st.sampled_from(["otto", "olga"]),
    st.sampled_from(CHECKPOINTS),
    st.sampled_from([None, *CHECKPOINTS]),
    st.integers(0, 3),
)


def key_of(name: str) -> PublicKey:
    return PublicKey(name=name, roles=ROLES, public_key="0" * 64)


def entry(sequence: int, action: str, actor: str, subject: str, live: str | None, engagement: int) -> Entry:
    return Entry(
        sequence=sequence,
        previous="0" * 64,
        time="2026-03-01T00:00:00.000Z",
        actor=actor,
        action=action,
        subject=subject,
        body={"live": live, "engagement": engagement, "request": f"request-{sequence}"},
        signature="0" * 128,
    )


def replay(entries: list[Entry]) -> State:
    state = State()
    for one in entries:
        states.apply(state, one, key_of)
    return state


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(attempts, max_size=40))
def test_every_reachable_state_keeps_the_rules(tried: list) -> None:
    accepted: list[Entry] = []
    state, engagers = State(), 0
    for action, actor, subject, live, engagement in tried:
        before = replay(accepted)
        proposed = entry(len(accepted), action, actor, subject, live, engagement)
        try:
            states.apply(before, proposed, key_of)
        except IntegrityError:
            continue
        accepted.append(proposed)
        was, state = state, before
        assert state.live not in state.revoked
        assert state.live == live
        assert state.revoked >= was.revoked
        assert set(state.releases) <= state.good
        assert len(set(state.releases)) == len(state.releases)
        assert state.sequence == proposed.sequence
        if was.engaged:
            assert action != "release"
            assert state.engaged or (action == "kill.release" and actor not in was.consents)
        if action == "kill.engage":
            engagers += 1
            assert was.live is None or was.live in state.revoked
    assert state.engagement == engagers


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.sampled_from(CHECKPOINTS), max_size=8), st.sampled_from([None, *CHECKPOINTS]))
def test_going_back_ends_at_the_target(released: list[str], target: str | None) -> None:
    releases: tuple[str, ...] = ()
    for checkpoint in released:
        releases = states.after_release(releases, checkpoint)
        assert releases[-1] == checkpoint
    after = states.after_rollback(releases, target)
    assert (after[-1] if after else None) == target
    assert len(set(after)) == len(after)
