from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from spice import reporting
from spice.errors import NotFoundError
from spice.store import ObjectStore
from spice.trust import rotation
from spice.trust.ledger import utc_now

MakeRun = Callable[..., ObjectStore]
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Collects elements, attributes and text, and fails on a tag that is closed out of order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        # Elements that HTML lets one leave open are always closed in our template, so order can be strict.
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.elements if name == tag and attributes.items() <= found.items()]


def build(store: ObjectStore, name: str = "factbook-0") -> Page:
    where = reporting.build(store, reporting.load(store, name))
    assert where == f"{store.url}/runs/{name}/report.html"
    return Page(store.get(f"runs/{name}/report.html").decode())


def change(store: ObjectStore, key: str, **fields: Any) -> None:
    store.put(key, json.dumps({**json.loads(store.get(key)), **fields}).encode())


def test_a_finished_run_is_shown_whole(make_run: MakeRun) -> None:
    page = build(make_run())
    words = " ".join(page.text.split())
    assert (
        "accuracy went from 15.8% to 29.6%, a difference of +13.8 points (95% interval +7.5 to +20.0): better" in words
    )
    assert "210 trained on, 52 held out" in words
    assert "The gate says pass" in words
    assert "Improved on cloze" in words
    assert "+3.3 [-2.7, +9.3]" in words
    assert "0 of 246 testable items" in words
    assert "one question makes up 62% of all 2 of 24 iterations, first in 19, last in 22" in words
    assert "near duplicate rate 0.108 0.3 0.108 0.3" in words
    assert "No control arm was run" in words
    assert "Not recorded" not in words
    assert len(page.all("figure")) == 12
    assert len([svg for svg in page.all("svg") if svg.get("role") == "img" and svg.get("aria-label")]) == 12
    for ref in (
        r"datasets/factbook/[0-9a-f]{64}",
        r"checkpoints/[0-9a-f]{64}",
        r"decisions/[0-9a-f]{64}",
        r"requests/5{64}",
    ):
        assert re.search(ref, page.text)


def test_nothing_is_loaded_from_anywhere(make_run: MakeRun) -> None:
    page = build(make_run())
    assert page.all("script") == page.all("link") == page.all("img") == page.all("iframe") == []
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    for tag, attributes in page.elements:
        assert attributes.keys().isdisjoint({"src", "srcset", "onload", "onclick", "onerror", "style"}), tag
        assert (attributes.get("href") or "#").startswith("#")


def test_a_dozen_tasks_from_the_whole_run_with_their_passages(make_run: MakeRun) -> None:
    store = make_run()
    run = reporting.load(store, "factbook-0")
    assert len(run.samples) == 12
    assert [sample.iteration for sample in run.samples] == list(range(1, 25, 2))
    assert sum(not sample.valid for sample in run.samples) == 3
    page = build(store)
    assert len(page.all("article")) == 12
    assert len(page.all("mark")) >= 9
    assert page.text.count("the question does not name its subject") == 3


def test_the_same_run_gives_the_same_page(make_run: MakeRun) -> None:
    store = make_run()
    assert reporting.render(reporting.load(store, "factbook-0")) == reporting.render(
        reporting.load(store, "factbook-0")
    )


HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">"\'{{ 7*7 }}</svg></style>'


def test_text_of_models_and_strangers_stays_text(store: ObjectStore, fill: Callable[..., ObjectStore]) -> None:
    """Whatever part of a run says something hostile, the page has only the elements of our template."""
    clean = Page(reporting.render(reporting.load(fill(store, "clean"), "clean")))
    fill(store, "evil", text=HOSTILE)
    change(store, "runs/evil/run.json", status=HOSTILE, code=HOSTILE, request=HOSTILE)
    change(store, "runs/evil/config.json", model={"name": HOSTILE}, **{HOSTILE: HOSTILE})
    change(store, "runs/evil/iterations/000003.json", warnings=[HOSTILE])
    html = reporting.render(reporting.load(store, "evil"))
    page = Page(html)
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in clean.elements}
    assert "alert(1)" in page.text
    assert "{{ 7*7 }}" in page.text
    for tag, attributes in page.elements:
        assert attributes.keys().isdisjoint({"src", "onerror", "onload"}), tag


@pytest.mark.parametrize(
    ("until", "says"),
    [
        ("train", ["there is no evaluation yet", "has not been evaluated", "The gate was not asked", "Not recorded"]),
        ("coevolution", ["there is no evaluation yet", "The gate was not asked"]),
        ("evaluate", ["accuracy went from", "The gate was not asked"]),
        ("decide", ["The gate says pass"]),
    ],
)
def test_a_run_that_stopped_early_shows_what_is_there(until: str, says: list[str], make_run: MakeRun) -> None:
    words = " ".join(build(make_run(until=until, iterations=2)).text.split())
    for part in says:
        assert part in words


def test_a_run_that_has_only_begun(store: ObjectStore) -> None:
    store.put("runs/begun/config.json", b"{}")
    page = build(store, "begun")
    assert "Nothing was trained yet" in page.text
    assert "No tasks were recorded" in page.text


Damage = Callable[[ObjectStore, Any], None]


def _remove_corpus(store: ObjectStore, info: Any) -> None:
    store.delete(f"{info['corpus']}/manifest.json")


def _change_segments(store: ObjectStore, info: Any) -> None:
    store.put(f"{info['corpus']}/segments-00000.parquet", b"something else")


def _change_evaluation(store: ObjectStore, info: Any) -> None:
    store.put(f"{info['evaluation']}.json", b"{}")


def _forge_decision(store: ObjectStore, info: Any) -> None:
    from spice.store import artifacts

    forged = artifacts.write_json(store, "decisions", {"outcome": "pass", "reasons": ["trust me"]})
    change(store, "runs/factbook-0/run.json", decision=forged)


def _rotate_the_key(store: ObjectStore, info: Any) -> None:
    """The decision is in no ledger entry, so nobody can tell that it was signed before."""
    rotation.rotate_own(store, "local", Path(store.url).parent / "keys", utc_now)


def _garble_iteration(store: ObjectStore, info: Any) -> None:
    store.put("runs/factbook-0/iterations/000001.json", b'{"iteration": "one"}')


def _garble_tasks(store: ObjectStore, info: Any) -> None:
    store.put("runs/factbook-0/tasks/000001.parquet", b"no parquet")


def _change_tasks(store: ObjectStore, info: Any) -> None:
    data = bytearray(store.get("runs/factbook-0/tasks/000001.parquet"))
    data[len(data) // 2] ^= 1
    data[-9] ^= 0xFF  # in the footer
    store.put("runs/factbook-0/tasks/000001.parquet", bytes(data))


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (_remove_corpus, "datasets/factbook/"),
        (_change_segments, "segments-00000.parquet"),
        (_change_evaluation, "evaluations/"),
        (_forge_decision, "decisions/"),
        (_rotate_the_key, "decisions/"),
        (_garble_iteration, "iterations/000001.json"),
        (_garble_tasks, "tasks/000001.parquet"),
        (_change_tasks, "tasks/000001.parquet"),
    ],
)
def test_a_damaged_part_is_left_out_and_named(damage: Damage, names: str, make_run: MakeRun) -> None:
    store = make_run(iterations=3)
    damage(store, json.loads(store.get("runs/factbook-0/run.json")))
    run = reporting.load(store, "factbook-0")
    assert any(names in problem for problem in run.problems)
    page = build(store)
    assert "could not be read" in page.text
    assert "trust me" not in page.text
    assert names in reporting.summary(run)


def test_an_unknown_run_is_an_error_that_names_the_known_ones(make_run: MakeRun) -> None:
    with pytest.raises(NotFoundError, match="runs are: factbook-0"):
        reporting.load(make_run(iterations=1, until="train"), "factbook-1")


def test_the_summary_for_the_terminal(make_run: MakeRun) -> None:
    text = reporting.summary(reporting.load(make_run(), "factbook-0"))
    table = [line.split() for line in text.splitlines() if line.startswith("  cloze")]
    assert table[0] == [
        "cloze",
        "240",
        "15.8%",
        "[10.8,",
        "21.8]",
        "29.6%",
        "[24.6,",
        "35.6]",
        "+13.8",
        "[+7.5,",
        "+20.0]",
        "0.006",
        "better",
    ]
    assert "The gate says pass." in text
    assert "  - Improved on cloze" in text
