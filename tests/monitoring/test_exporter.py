from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from spice.errors import ConfigError, StoreError
from spice.monitoring.exporter import FAMILIES, serve
from spice.promotion import switch
from spice.store.base import ObjectStore
from spice.trust import rotation

ARM = {"corpus": "facts", "recipe": "spice", "seed": "0"}


def test_what_a_run_records_is_exported(play: Callable[..., None], turn: Any, watch: Callable[..., Any]) -> None:
    play("r", [turn(valid=0.5, challenger_entropy=1.5, reasoner_entropy=0.25), turn(valid=0.75, tokens=30)])
    seen = watch()
    assert seen.get("spice_run_training", **ARM) == 1
    assert seen.get("spice_iterations_total", **ARM) == 2
    assert seen.get("spice_valid_ratio", **ARM) == 0.75
    assert seen.get("spice_entropy_nats", **ARM, role="challenger") == 1.0
    assert seen.get("spice_output_tokens", **ARM, role="reasoner") == 30
    assert seen.get("spice_iteration_duration_seconds", **ARM) == 10
    assert seen.get("spice_phase_seconds_total", **ARM, phase="update") == 6
    assert seen.get("spice_generated_tokens_total", **ARM, role="challenger") == 16 * 20 + 16 * 30
    assert seen.get("spice_tokens_per_second", **ARM, phase="challenge") == 16 * 30 / 4
    assert seen.get("spice_learned_tokens_total", **ARM) == 3200
    assert seen.get("spice_reward", **ARM, role="reasoner") == seen.get("spice_pass_ratio", **ARM)
    assert seen.get("spice_store_damaged_objects", kind="iteration") == 0


def test_tokens_of_the_reasoner_are_those_of_all_its_answers(
    play: Callable[..., None], turn: Any, watch: Callable[..., Any]
) -> None:
    play("r", [turn(valid=0.5, group=4, tokens=10)], sets=["recipe.group_size=4"])
    assert watch().get("spice_generated_tokens_total", **ARM, role="reasoner") == 8 * 4 * 10


def test_start_and_recent_past_wait_until_they_are_complete(
    play: Callable[..., None], turn: Any, watch: Callable[..., Any]
) -> None:
    falling = [turn(valid=1 - n / 16) for n in range(5)]
    play("short", falling[:4], sets=["seed=1"])
    play("long", falling)
    seen = watch()
    assert seen.get("spice_recent_valid_ratio", **{**ARM, "seed": "1"}) is None
    assert seen.get("spice_start_valid_ratio", **{**ARM, "seed": "1"}) is None
    assert seen.get("spice_recent_valid_ratio", **ARM) == pytest.approx(1 - 2 / 16)
    assert seen.get("spice_start_valid_ratio", **ARM) == pytest.approx(1 - 2 / 16)
    play("long", falling + [turn(valid=0.5)] * 5)
    assert seen.look().get("spice_recent_valid_ratio", **ARM) == 0.5
    assert seen.get("spice_start_valid_ratio", **ARM) == pytest.approx(1 - 2 / 16)


def test_every_health_signal_that_is_recorded_is_exported(
    store: ObjectStore, play: Callable[..., None], turn: Any, watch: Callable[..., Any]
) -> None:
    play("r", [turn()])
    record = json.loads(store.get("runs/r/iterations/000001.json"))
    record["health"]["a_new_signal"] = 0.125
    store.put("runs/r/iterations/000001.json", json.dumps(record).encode())
    seen = watch()
    exported = {sample.value for metric in seen.registry.collect() for sample in metric.samples}
    assert {value for value in record["health"].values() if value is not None} <= exported
    assert seen.get("spice_health_signal", **ARM, signal="a_new_signal") == 0.125


def test_a_new_run_of_an_arm_takes_the_place_of_the_one_before(
    store: ObjectStore, tmp_path: Path, play: Callable[..., None], turn: Any, watch: Callable[..., Any]
) -> None:
    play("a-second", [turn(valid=0.5)])
    play("b-first", [turn(valid=0.25)] * 3)
    for info in store.list("runs/b-first/"):
        os.utime(tmp_path / "store" / info.key, (info.modified - 100, info.modified - 100))
    seen = watch()
    assert seen.get("spice_valid_ratio", **ARM) == 0.5
    assert seen.labels("spice_valid_ratio") == [ARM]


def test_names_of_runs_and_digests_are_in_no_label(
    office: Any, play: Callable[..., None], turn: Any, watch: Callable[..., Any]
) -> None:
    play("run-with-a-name", [turn()] * 5)
    ref = office.ask("one")
    office.approve(ref)
    live = office.promote(ref)
    text = generate_latest(watch().registry).decode()
    assert "run-with-a-name" not in text
    assert not re.search('="[^"]*[0-9a-f]{13}', text)
    assert f'spice_release_info{{release="{live.rpartition("/")[2][:12]}"}} 1.0' in text


def test_a_run_that_has_long_ended_is_not_exported(
    play: Callable[..., None], turn: Any, watch: Callable[..., Any]
) -> None:
    play("r", [turn()])
    assert watch(later=23 * 3600).get("spice_valid_ratio", **ARM) == 1
    assert watch(later=25 * 3600).get("spice_valid_ratio", **ARM) is None
    assert watch("monitoring.run_hours=48", later=25 * 3600).get("spice_valid_ratio", **ARM) == 1


def test_only_new_objects_are_read(
    store: ObjectStore, play: Callable[..., None], turn: Any, watch: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    play("r", [turn()] * 30)
    seen = watch()
    gets: list[str] = []
    read = store.get
    monkeypatch.setattr(store, "get", lambda key: gets.append(key) or read(key))
    listed: list[str] = []
    find = store.list
    monkeypatch.setattr(store, "list", lambda prefix: listed.append(prefix) or find(prefix))
    seen.look(15)
    assert len(gets) < 8
    assert not any(re.search("iterations/0000(0|1|2)", key) for key in gets)
    assert listed == ["ledger/"]  # empty, so there is no entry to go on from
    gets.clear()
    list(seen.registry.collect())
    assert gets == []


DAMAGES: dict[str, tuple[str, bytes | None]] = {
    "not JSON": ("runs/r/iterations/000002.json", b"{"),
    "not an object": ("runs/r/iterations/000002.json", b"[]"),
    "another iteration's": ("runs/r/iterations/000002.json", b'{"iteration": 7}'),
    "not UTF-8": ("runs/r/iterations/000002.json", b"\xff\xfe\x00"),
    "missing between others": ("runs/r/iterations/000002.json", None),
}


@pytest.mark.parametrize(("key", "data"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_iteration_is_counted_and_the_rest_is_exported(
    key: str, data: bytes | None, store: ObjectStore, play: Callable[..., None], turn: Any, watch: Callable[..., Any]
) -> None:
    play("r", [turn(valid=0.25), turn(valid=0.5), turn(valid=0.75)])
    sound = store.get(key)
    store.delete(key) if data is None else store.put(key, data)
    seen = watch()
    assert seen.get("spice_store_damaged_objects", kind="iteration") == 1
    assert seen.get("spice_store_up") == 1
    assert seen.get("spice_valid_ratio", **ARM) == 0.75
    assert seen.get("spice_iterations_total", **ARM) == 3
    store.put(key, sound)
    assert seen.look().get("spice_store_damaged_objects", kind="iteration") == 0


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("runs/r/run.json", "run"),
        ("runs/r/config.json", "run"),
        (f"evaluations/{'1' * 64}.json", "evaluation"),
        (f"decisions/{'1' * 64}.json", "decision"),
        (f"drift/{'1' * 64}.json", "drift"),
    ],
)
def test_damage_of_each_kind_is_counted(
    key: str, kind: str, store: ObjectStore, play: Callable[..., None], turn: Any, watch: Callable[..., Any]
) -> None:
    play("r", [turn()])
    store.put(key, b'{"corpus": 3, "seed": []}')
    seen = watch()
    assert seen.get("spice_store_damaged_objects", kind=kind) == 1
    assert seen.get("spice_store_up") == 1
    assert seen.labels("spice_valid_ratio")


def test_a_revoked_key_makes_no_evaluation_good(store: ObjectStore, office: Any, watch: Callable[..., Any]) -> None:
    office.ask("one")
    seen = watch()
    good = "spice_evaluation_last_good_timestamp_seconds"
    assert seen.get(good, corpus="facts")
    rotation.revoke(store, "rita", office.people["root"], office.clock, from_entry=5)
    assert seen.look().get(good, corpus="facts") is None
    assert seen.get("spice_store_damaged_objects", kind="decision") == 1


def test_a_broken_ledger_makes_no_evaluation_good(store: ObjectStore, office: Any, watch: Callable[..., Any]) -> None:
    office.ask("one")
    seen = watch()
    store.put("ledger/000000000002.json", b"{}")
    assert seen.look(7200.0).get("spice_evaluation_last_good_timestamp_seconds", corpus="facts") is None
    assert seen.get("spice_ledger_verified") == 0


def test_a_store_with_nothing_in_it_is_told(
    watch: Callable[..., Any], play: Callable[..., None], turn: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen = watch()
    assert seen.get("spice_store_empty") == 1
    assert "mistyped" in caplog.text
    caplog.clear()
    assert seen.look().get("spice_store_empty") == 1
    assert caplog.text == ""  # once is enough
    play("r", [turn()])
    assert seen.look().get("spice_store_empty") == 0


def test_an_empty_store_is_no_trouble(watch: Callable[..., Any]) -> None:
    seen = watch()
    assert seen.get("spice_store_up") == 1
    assert seen.get("spice_ledger_verified") == 1
    assert seen.get("spice_switch_engaged") == 0
    assert seen.get("spice_release_live") == 0


def test_a_store_out_of_reach_is_a_metric_and_the_switch_counts_as_engaged(
    store: ObjectStore, play: Callable[..., None], turn: Any, watch: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    play("r", [turn(valid=0.5)])
    seen = watch()

    def fail(*_: object) -> None:
        raise StoreError("no route to host")

    with monkeypatch.context() as broken:
        for method in ("get", "read", "list", "head"):
            broken.setattr(store, method, fail)
        seen.look()
        assert seen.get("spice_store_up") == 0
        assert seen.get("spice_store_errors_total") == 1
        assert (seen.get("spice_switch_engaged"), seen.get("spice_switch_readable")) == (1, 0)
        assert seen.get("spice_valid_ratio", **ARM) == 0.5
    seen.look()
    assert seen.get("spice_store_up") == 1
    assert (seen.get("spice_switch_engaged"), seen.get("spice_switch_readable")) == (0, 1)


def test_a_change_of_the_pass_rate_is_found_while_the_run_goes_on(
    play: Callable[..., None], turn: Any, watch: Callable[..., Any]
) -> None:
    steady = [turn(passes=0.6)] * 20
    play("r", steady, sets=["training.iterations=40"])
    seen = watch()
    assert seen.get("spice_pass_change_detected", **ARM, direction="down") == 0
    play("r", steady + [turn(passes=0.05)] * 12, sets=["training.iterations=40"])
    seen.look()
    assert seen.get("spice_pass_change_detected", **ARM, direction="down") == 1
    assert seen.get("spice_pass_change_detected", **ARM, direction="up") == 0


def test_the_way_of_a_release(office: Any, watch: Callable[..., Any]) -> None:
    ref = office.ask("one")
    seen = watch()
    assert seen.get("spice_requests_pending") == 1
    assert seen.get("spice_approvals_pending") == 1
    assert seen.get("spice_request_oldest_timestamp_seconds") <= office.clock.now.timestamp()
    assert seen.get("spice_evaluation_last_good_timestamp_seconds", corpus="facts") is not None
    assert seen.get("spice_evaluation_pass_ratio", corpus="facts", suite="cloze", model="candidate") == 0.5
    assert seen.get("spice_evaluation_verdict", corpus="facts", suite="cloze", verdict="better") == 1
    assert seen.get("spice_evaluation_difference_low_ratio", corpus="facts", suite="cloze") == 0.05

    seen.now = office.clock.now.timestamp()
    office.approve(ref)
    seen.look(15)
    assert (seen.get("spice_requests_pending"), seen.get("spice_approvals_pending")) == (1, 0)

    office.promote(ref)
    seen.look(15)
    assert (seen.get("spice_requests_pending"), seen.get("spice_release_live")) == (0, 1)
    assert seen.get("spice_ledger_actions_total", action="release") == 1
    assert seen.get("spice_release_timestamp_seconds") <= office.clock.now.timestamp()

    switch.engage(office.store, office.people["otto"], "it insults people", office.clock)
    seen.look(15)
    assert (seen.get("spice_switch_engaged"), seen.get("spice_switch_readable")) == (1, 1)
    assert seen.get("spice_release_live") == 0
    assert seen.get("spice_ledger_verified") == 1


def test_a_rejected_request_is_not_pending(office: Any, watch: Callable[..., Any]) -> None:
    office.approve(office.ask("one"), reject=True)
    assert watch().get("spice_requests_pending") == 0


@pytest.mark.parametrize("entry", ["first", "last"])
def test_a_changed_ledger_is_found_at_the_next_verification(
    entry: str, office: Any, store: ObjectStore, watch: Callable[..., Any]
) -> None:
    office.ask("one")
    seen = watch()
    assert seen.get("spice_ledger_verified") == 1
    keys = [info.key for info in store.list("ledger/")]
    key = keys[0] if entry == "first" else keys[-1]
    store.put(key, store.get(key).replace(b"keys.add", b"keys.ad") if entry == "first" else b"{}")
    assert seen.look(3600).get("spice_ledger_verified") == 0
    assert (seen.get("spice_switch_engaged"), seen.get("spice_switch_readable")) == (1, 0)
    assert seen.get("spice_store_up") == 1


def test_evidence_that_vanished_is_a_ledger_problem(office: Any, store: ObjectStore, watch: Callable[..., Any]) -> None:
    ref = office.ask("one")
    office.approve(ref)
    store.delete(next(info.key for info in store.list(f"{ref}/approvals/")))
    seen = watch()
    assert seen.get("spice_ledger_problems") == 1
    assert seen.get("spice_ledger_verified") == 1


def test_the_exposition_is_clean(office: Any, play: Callable[..., None], turn: Any, watch: Callable[..., Any]) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("NO PROMTOOL: install Debian's prometheus package to lint the metrics")
    play("r", [turn()] * 6)
    office.approve(office.ask("one"))
    text = generate_latest(watch().registry)
    found = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, b"")


def test_families_are_named_and_explained_once() -> None:
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))
    for family in FAMILIES:
        assert re.fullmatch("spice_[a-z0-9_]+", family.name)
        assert family.help.endswith(".")
        assert family.name.endswith("_total") == (family.kind == "counter")


@pytest.mark.integration
def test_serves_over_http_until_it_is_stopped(play: Callable[..., None], turn: Any, watch: Callable[..., Any]) -> None:
    play("r", [turn(valid=0.5)])
    seen, stop = watch(), threading.Event()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    thread = threading.Thread(target=serve, args=(seen.exporter, "127.0.0.1", port, 3600.0, stop))
    thread.start()
    try:
        with _patiently(f"http://127.0.0.1:{port}/metrics") as response:
            text = response.read().decode()
    finally:
        stop.set()
        thread.join(timeout=10)
    assert 'spice_valid_ratio{corpus="facts",recipe="spice",seed="0"} 0.5' in text
    assert not thread.is_alive()


@pytest.mark.integration
def test_a_port_that_is_taken_is_refused(watch: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="Choose another --port"):
            serve(watch().exporter, "127.0.0.1", taken.getsockname()[1], 1.0, threading.Event())


def _patiently(url: str) -> Any:
    for _ in range(200):
        try:
            return urllib.request.urlopen(url, timeout=5)
        except OSError:
            threading.Event().wait(0.05)
    pytest.fail(f"{url} never answered")
