from __future__ import annotations

from typing import Any

import pytest

from spice.errors import IntegrityError, RefusedError
from spice.promotion import admission
from spice.promotion.log import ReleaseLog
from spice.trust.ledger import Draft

DOCUMENT = "ab" * 32


def test_an_approver_admits_once_and_may_withdraw(world: Any) -> None:
    anna = world.people["anna"]
    entry = admission.admit(world.store, anna, world.clock, DOCUMENT, "addresses a model", "a quotation")
    assert entry is not None
    assert (entry.actor, entry.action, entry.subject) == ("anna", "corpus.admit", DOCUMENT)
    assert entry.body == {"screen": "addresses a model", "reason": "a quotation"}
    assert admission.admit(world.store, anna, world.clock, DOCUMENT, "addresses a model", "again") is None
    assert admission.admitted(world.store) == {bytes.fromhex(DOCUMENT)}
    admission.dismiss(world.store, anna, world.clock, DOCUMENT, "a mistake")
    assert admission.admitted(world.store) == frozenset()


@pytest.mark.parametrize("who", ["rita", "otto", "lena"])
def test_nobody_else_may(world: Any, who: str) -> None:
    with pytest.raises(RefusedError, match="approver"):
        admission.admit(world.store, world.people[who], world.clock, DOCUMENT, "x", "please")
    assert admission.admitted(world.store) == frozenset()


def test_what_is_not_admitted_cannot_be_withdrawn(world: Any) -> None:
    with pytest.raises(RefusedError, match="is not admitted"):
        admission.dismiss(world.store, world.people["anna"], world.clock, DOCUMENT, "x")


@pytest.mark.parametrize(("action", "subject"), [("corpus.admit", "all"), ("corpus.dismiss", DOCUMENT)])
def test_a_decision_that_no_honest_writer_makes_breaks_the_ledger(world: Any, action: str, subject: str) -> None:
    log = ReleaseLog(world.store)
    with pytest.raises(IntegrityError):
        log.append(world.people["anna"], world.clock, lambda: Draft(action, subject, {"reason": "x"}))
