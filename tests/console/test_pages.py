"""What people see, and what keeps their browsers safe."""

from __future__ import annotations

import json
import re

import pytest

from spice.console.draw import style
from spice.console.security import POLICY
from spice.corpus import dataset
from spice.reporting import run_info

TEXT = 4.5  # WCAG AA: contrast of text
EDGE = 3.0  # and of what marks a control


@pytest.fixture
def pages(world) -> dict[str, tuple[str, str]]:
    """Every page with something that it must say."""
    info = run_info(world.store, "demo")
    ref = world.requested()
    segment = dataset.load(world.store, info.corpus, "train")[0]
    return {
        "overview": ("/", "Nothing is live"),
        "runs": ("/runs", "demo"),
        "run": ("/runs/demo", "accuracy went from"),
        "report": ("/runs/demo/report", "SPICE run"),
        "tasks": ("/runs/demo/tasks/2", "What does the text say"),
        "datasets": ("/datasets", "latest"),
        "dataset": (f"/{info.corpus}", "Runs that learned from it"),
        "passage": (f"/{info.corpus}/segments/{segment.segment_id}", f"bytes {segment.start:,} to {segment.end:,}"),
        "checkpoints": ("/checkpoints", "never released"),
        "checkpoint": (f"/{info.checkpoint}", "Where it comes from"),
        "evaluation": (f"/{info.evaluation}", "Question by question"),
        "requests": ("/requests", "waiting"),
        "request": (f"/{ref}", "The gate says pass"),
        "ledger": ("/ledger", "The ledger is sound"),
        "switch": ("/switch", "Stop everything"),
        "rollback": ("/rollback", "nothing to go back from"),
        "login": ("/login", "spice console login http://"),
    }


def test_every_page_says_what_it_is_for_and_shows_the_switch(world, pages) -> None:
    browser = world.browser()
    for name, (address, said) in pages.items():
        page = browser.get(address)
        assert page.status_code == 200, (name, page.text)
        assert said in page.text, name
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert "<script>" not in page.text, name
        assert not re.search(r"<[^>]* (on\w+|javascript:)=", page.text), name
        if name == "report":
            assert "script-src" not in page.headers["Content-Security-Policy"]
            continue
        assert page.headers["Content-Security-Policy"] == POLICY
        assert " style=" not in page.text, name
        assert "Kill-switch not engaged" in page.text, name
        for landmark in ("<main", "<nav", "<footer", 'href="#main"', '<html lang="en"'):
            assert landmark in page.text, (name, landmark)
        assert page.text.count("<h1") == 1, name
        for control in re.findall(r"<(?:input|select)(?![^>]*hidden)[^>]*>", page.text):
            assert re.search(rf"<label[^>]*>[^<]*(<br>)?\s*{re.escape(control)}", page.text), (name, control)


def test_what_is_not_there(world) -> None:
    browser = world.browser()
    for address in (
        "/nope",
        "/checkpoints/x",
        f"/checkpoints/{'0' * 64}",
        "/runs/nope",
        "/runs/..%2f",
        "/runs/demo/tasks/99",
    ):
        assert browser.get(address).status_code == 404, address


def test_text_from_documents_and_models_is_never_markup(world) -> None:
    attack = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    info = json.loads(world.store.get("runs/demo/run.json"))
    world.store.put("runs/demo/run.json", json.dumps({**info, "status": attack}).encode())
    page = world.browser().get("/runs").text
    assert attack not in page
    assert "&lt;script&gt;" in page


def test_other_names_long_bodies_and_caching(world) -> None:
    browser = world.browser()
    assert browser.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert browser.get("/healthz", headers={"Host": "10.1.2.3:8080"}).status_code == 200
    assert browser.post("/login", content=b"x" * 70_000).status_code == 413
    assert browser.get("/").headers["Cache-Control"] == "no-store"
    assert "secure" not in browser.get("/").headers["Set-Cookie"].lower()
    world.restart(url="https://spice.example.org")
    behind = world.browser().get("/", headers={"Host": "spice.example.org"})
    assert "Secure" in behind.headers["Set-Cookie"]
    assert "SameSite=strict" in behind.headers["Set-Cookie"]
    assert "Strict-Transport-Security" in behind.headers


def test_items_are_filtered_and_paged(world) -> None:
    evaluation = run_info(world.store, "demo").evaluation
    browser = world.browser()

    def items(show: str, page: int = 1):
        return browser.get(f"/api/{evaluation}/items/cloze?show={show}&page={page}").json()

    everything, gained, lost = items("all"), items("gained"), items("lost")
    assert everything["total"] == 60
    assert everything["pages"] == 3
    assert [len(items("all", page)["items"]) for page in (1, 2, 3, 4)] == [25, 25, 10, 10]
    assert items("changed")["total"] == gained["total"] + lost["total"]
    assert all(one["candidate"]["correct"] and not one["base"]["correct"] for one in gained["items"])
    assert browser.get(f"/api/{evaluation}/items/nope").status_code == 404


def test_lineage_goes_down_to_the_bytes_of_a_file(world) -> None:
    info = run_info(world.store, "demo")
    browser = world.browser()
    steps = {step["kind"]: step for step in browser.get(f"/api/{info.checkpoint}/lineage").json()["steps"]}
    assert list(steps) == ["release", "checkpoint", "run", "tasks", "dataset", "base"]
    task = browser.get(f"/api{steps['tasks']['link']}").json()["tasks"][0]
    passage = browser.get(f"/api{steps['dataset']['link']}/segments/{task['segment']}").json()
    assert passage["source"] == task["source"]
    assert passage["unit"] == "byte"
    assert task["answer"] in passage["text"]


def test_a_damaged_object_is_said_to_be_damaged(world) -> None:
    info = run_info(world.store, "demo")
    world.store.put(f"{info.checkpoint}/manifest.json", b"{}")
    browser = world.browser()
    assert browser.get("/checkpoints").status_code == 200
    page = browser.get(f"/{info.checkpoint}")
    assert page.status_code == 503
    assert "changed after it was written" in page.text


def test_the_state_is_sent_again_only_when_it_changed(world) -> None:
    browser = world.browser()
    state = browser.get("/switch/state").text
    address = re.search(r'hx-get="([^"]+)"', state)[1]
    assert browser.get(address).status_code == 204
    world.browser("otto").submit("/switch/engage", "/switch", reason="now")
    assert "Kill-switch engaged" in browser.get(address).text


def test_a_run_in_training_is_shown_as_far_as_it_is(world) -> None:
    info = json.loads(world.store.get("runs/demo/run.json"))
    world.store.put("runs/demo/run.json", json.dumps({**info, "status": "training"}).encode())
    browser = world.browser()
    assert len(browser.get("/api/runs/demo").json()["iterations"]) == 12
    assert 'hx-trigger="every 5s"' in browser.get("/runs/demo").text.split("</header>")[1]
    row = json.loads(world.store.get("runs/demo/iterations/000012.json"))
    world.store.put("runs/demo/iterations/000013.json", json.dumps({**row, "iteration": 13}).encode())
    assert len(browser.get("/api/runs/demo").json()["iterations"]) == 13


def palettes() -> dict[str, dict[str, str]]:
    """The colours of the style sheet, light and dark."""
    css = style()
    dark_blocks = re.findall(r"@media \(prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}\s*\}", css, re.DOTALL)
    light_blocks = re.findall(r"^:root \{(.*?)\}", css, re.DOTALL | re.MULTILINE)

    def read(blocks: list[str]) -> dict[str, str]:
        return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", " ".join(blocks)))

    light = read(light_blocks)
    return {"light": light, "dark": light | read(dark_blocks)}


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast(theme: str) -> None:
    palette = palettes()[theme]
    pairs = [(text, ground, TEXT) for text in ("ink", "soft", "link") for ground in ("paper", "panel")]
    pairs += [("ink", ground, TEXT) for ground in ("wash", "good-wash", "bad-wash", "mark")]
    pairs += [("soft", ground, TEXT) for ground in ("wash", "good-wash", "bad-wash")]
    pairs += [("good", "good-wash", TEXT), ("bad", "bad-wash", TEXT), ("neutral", "wash", TEXT)]
    pairs += [("good", "panel", TEXT), ("bad", "panel", TEXT), ("on-main", "main", TEXT), ("on-alarm", "alarm", TEXT)]
    pairs += [("edge", "paper", EDGE), ("edge", "panel", EDGE), ("link", "paper", EDGE)]
    weak = {
        (text, ground): round(contrast(palette[text], palette[ground]), 2)
        for text, ground, needed in pairs
        if contrast(palette[text], palette[ground]) < needed
    }
    assert not weak
