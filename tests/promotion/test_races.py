"""Promoters and engagers at once, each with its own view of one store: one winner, and the switch wins always."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from spice.errors import RefusedError
from spice.promotion import release, switch
from spice.promotion.log import ReleaseLog


def all_at_once(jobs: list[Callable[[], object]]) -> list[object]:
    """Results, or the `RefusedError`s, of jobs that start together; any other error is passed on."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return job()
        except RefusedError as error:
            return error

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def approved(world, count: int) -> list[str]:
    refs = [world.requested(f"candidate-{i}") for i in range(count)]
    for ref in refs:
        world.approve(ref)
    return refs


def promoter(world, ref: str) -> Callable[[], object]:
    return lambda: world.promote(ref)


def engager(world, name: str) -> Callable[[], object]:
    return lambda: switch.engage(world.store, world.people[name], "race", world.clock)


def check(world) -> None:
    """What must hold whoever won."""
    log = ReleaseLog(world.store)
    assert world.pointer()["live"] == log.state.live
    assert log.state.live not in log.state.revoked
    assert log.pointer_current()
    assert [e.sequence for e in world.entries()] == list(range(7, log.length))


def test_of_many_candidates_one_wins(world) -> None:
    refs = approved(world, 8)
    outcomes = all_at_once([promoter(world, ref) for ref in refs])
    winners = [o for o in outcomes if isinstance(o, release.Status)]
    assert len(winners) == 1
    assert winners[0].live == world.pointer()["live"]
    actions = [e.action for e in world.entries()]
    assert (actions.count("release"), actions.count("refused")) == (1, 7)
    check(world)


def test_many_promoters_of_one_request_release_it_once(world) -> None:
    (ref,) = approved(world, 1)
    outcomes = all_at_once([promoter(world, ref)] * 8)
    assert {o.live for o in outcomes} == {world.candidate("candidate-0")}
    assert [e.action for e in world.entries()].count("release") == 1
    check(world)


@pytest.mark.parametrize("trial", range(2))
def test_the_switch_wins_every_race(world, trial: int) -> None:
    good = world.released("good")
    refs = approved(world, 6)
    jobs = [promoter(world, ref) for ref in refs]
    # Promoters judge the evidence first; engagers that are done by then would race against nobody.
    jobs += [lambda delay=delay: (threading.Event().wait(delay), engager(world, "otto")())[1] for delay in (0.3, 0.6)]
    jobs += [engager(world, "olga")] if trial == 0 else []
    all_at_once(jobs)
    log = ReleaseLog(world.store)
    assert log.engaged()
    assert world.pointer()["live"] in (good, None)
    assert (world.pointer()["live"] is None) == (good in log.state.revoked)
    assert [e.action for e in world.entries()].count("kill.engage") == 1
    after = [e.action for e in world.entries()]
    assert "release" not in after[after.index("kill.engage") :]
    check(world)


def test_two_releasing_operators_and_an_engager_leave_no_half_state(world) -> None:
    world.released("good")
    switch.engage(world.store, world.people["otto"], "first", world.clock)
    all_at_once(
        [lambda n=n: switch.release(world.store, world.people[n], "fine", world.clock) for n in ("otto", "olga")]
        + [engager(world, "root") for _ in range(2)]
    )
    log = ReleaseLog(world.store)
    assert log.engaged() == log.state.engaged
    assert log.state.engagement in (1, 2)
    check(world)
