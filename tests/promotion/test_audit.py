from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from spice.errors import IntegrityError, RefusedError
from spice.promotion import audit, evidence, switch
from spice.promotion.log import ReleaseLog
from spice.store import artifacts
from spice.store.canonical import dumps
from spice.store.folder import FolderStore
from spice.trust.keyring import Keyring
from spice.trust.ledger import Draft, Ledger


def test_a_whole_ledger_is_found_whole(world) -> None:
    live = world.released("one")
    switch.engage(world.store, world.people["otto"], "drill", world.clock)
    found = audit.verify(world.store)
    assert (found.entries, found.root, found.live, found.engaged, found.problems) == (11, "root", None, True, ())
    assert audit.verify(world.store, found.fingerprint) == found
    assert live in ReleaseLog(world.store).state.revoked


def test_an_empty_store_has_nothing_wrong_with_it(tmp_path: Path) -> None:
    assert audit.verify(FolderStore(tmp_path / "empty")).problems == ()


def test_another_root_is_found(world) -> None:
    with pytest.raises(RefusedError, match="Someone replaced keys and ledger"):
        audit.verify(world.store, "0" * 64)


def test_evidence_that_went_missing_is_named(world) -> None:
    world.released("one")
    entries = {entry.action: entry for entry in world.entries()}
    release, approve = entries["release"].body, entries["approve"].body
    for key in (f"{release['evaluation']}.json", f"{release['decision']}.json", f"{release['request']}.json"):
        whole = world.store.get(key)
        world.store.put(key, whole + b" ")
        (problem,) = audit.verify(world.store).problems
        assert problem.startswith("Entry 9 (release)")
        world.store.delete(key)
        assert audit.verify(world.store).problems
        world.store.put(key, whole)
    world.store.put(approve["approval"], b"{}")
    assert "Entry 8 (approve)" in audit.verify(world.store).problems[0]


def test_a_pointer_that_disagrees_is_named(world) -> None:
    world.released("one")
    world.store.put("release.json", dumps({**world.pointer(), "live": "checkpoints/evil"}))
    assert "release.json" in audit.verify(world.store).problems[0]


@pytest.mark.parametrize(
    ("who", "draft", "problem"),
    [
        ("anna", Draft("release", "c", {"request": "r", "live": "c"}), "lacks the role releaser"),
        ("lena", Draft("release", "c", {"request": "r", "live": "d"}), "says that d is live"),
        ("lena", Draft("release", "c", {"live": "c"}), "a body that is not one"),
        ("lena", Draft("rollback", "", {"live": "never-released"}), "no good release"),
        ("lena", Draft("publish", "c"), "unknown action"),
        ("otto", Draft("kill.release", "", {"engagement": 0, "live": None}), "no engaged switch"),
        ("otto", Draft("kill.engage", "", {"engagement": 7, "live": None}), "miscounts"),
        ("rita", Draft("keys.add", "eve"), "lacks the role admin"),
    ],
)
def test_a_well_signed_entry_that_breaks_a_rule_is_found(world, who: str, draft: Draft, problem: str) -> None:
    ledger = Ledger(world.store, Keyring(world.store), lambda entry: None)
    with contextlib.suppress(IntegrityError):  # what the ledger itself finds is told at once
        ledger.append(world.people[who], world.clock, lambda: draft)
    with pytest.raises(IntegrityError, match=rf"entry 7 .*{problem}"):
        audit.verify(world.store)


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([("otto", "kill.engage", 1), ("lena", "release", 0)], "while the kill-switch is engaged"),
        ([("otto", "kill.engage", 1), ("olga", "kill.engage", 2)], "engages an engaged switch"),
        ([("otto", "kill.engage", 1), ("otto", "kill.release", 1)], "without a second operator"),
        (
            [("otto", "kill.engage", 1), ("otto", "kill.consent", 1), ("otto", "kill.release", 1)],
            "without a second operator",
        ),
    ],
)
def test_a_well_signed_history_that_breaks_a_rule_is_found(world, entries: list, problem: str) -> None:
    ledger = Ledger(world.store, Keyring(world.store), lambda entry: None)
    for who, action, engagement in entries:
        draft = Draft(action, "c", {"engagement": engagement, "live": None, "request": "r"})
        ledger.append(world.people[who], world.clock, lambda draft=draft: draft)
    with pytest.raises(IntegrityError, match=problem):
        audit.verify(world.store)


def test_health_counts_warnings_and_names_failures(world) -> None:
    store, broken = world.store, {"warnings": ["drift"], "learner": {"loss": None, "grad_norm": 1.0}}
    for number in (1, 2):
        store.put(f"runs/r/iterations/{number:06d}.json", json.dumps(broken).encode())
    store.put("runs/r/iterations/000003.json", b"{")
    found = evidence.health(store, "r")
    assert found.warnings == ("drift (2 of 3 iterations)",)
    assert found.failures == (
        "loss was not a finite number (2 of 3 iterations)",
        "runs/r/iterations/000003.json is not readable",
    )
    assert evidence.health(store, "unknown").failures == ("the run left no metrics",)


def test_warnings_that_differ_in_figures_only_are_one(world) -> None:
    said = (["drift", "audit 27% (n = 77)"], ["audit 31.5% (n = 9)"], ["audit 44% (n = 3)", "drift"], ["stalled at 3"])
    for number, warnings in enumerate(said):
        metrics = {"warnings": warnings, "learner": {"loss": 1.0, "grad_norm": 1.0}}
        world.store.put(f"runs/r/iterations/{number:06d}.json", json.dumps(metrics).encode())
    assert evidence.health(world.store, "r").warnings == (
        "audit 44% (n = 3) (3 of 4 iterations; figures of the last)",
        "drift (2 of 4 iterations)",
        "stalled at 3",
    )


def test_provenance_names_what_is_missing(world) -> None:
    report = artifacts.read_json(world.store, world.evaluation())
    assert evidence.provenance(world.store, report).complete
    bare = artifacts.write(world.store, "checkpoints", {"w": b"1"}, {"base": world.base, "run": "other"})
    assert set(evidence.provenance(world.store, {**report, "candidate": bare}).missing) == {
        "candidate: no corpus in its manifest",
        "candidate: no iteration in its manifest",
        "candidate: no code in its manifest",
        "candidate: its manifest names another run",
    }
    assert "not a reference" in evidence.provenance(world.store, {**report, "base": "Qwen/Qwen3"}).missing[0]
    assert not evidence.provenance(world.store, {**report, "corpus": "datasets/x/" + "0" * 64}).complete


@pytest.mark.parametrize("changes", [{"suites": {"cloze": {"n": 1}}}, {"contamination": None}, {"candidate": 5}])
def test_what_is_no_evaluation_report_cannot_be_judged(world, changes: dict) -> None:
    with pytest.raises(RefusedError, match="not an evaluation report that can be judged"):
        evidence.gather(world.store, world.evaluation(**changes), world.config)


def test_a_missing_evaluation_cannot_be_judged(world) -> None:
    with pytest.raises(RefusedError, match="cannot be judged"):
        evidence.gather(world.store, "evaluations/" + "0" * 64, world.config)
