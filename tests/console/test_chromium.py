"""The console in a real browser: by keyboard, on a phone, in both themes, with nothing blocked or left over."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn

from spice.console.app import create_app
from spice.console.context import open_console
from spice.console.identity import Identity
from spice.console.signers import Signers
from spice.promotion.switch import status
from spice.reporting import run_info

sync_api = pytest.importorskip("playwright.sync_api", reason="NO BROWSER: install playwright")
CHROMIUM = next((path for path in map(Path, ("/usr/bin/chromium", "/usr/bin/chromium-browser")) if path.exists()), None)

PATIENCE = 240_000  # milliseconds; how long it takes says more about the machine's other work

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        CHROMIUM is None, reason="NO BROWSER: apt-get install chromium to run the console's tests in one"
    ),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(world, chromium) -> Iterator[Callable]:
    """Opens a page of a console that really listens, as somebody, at some width and theme; problems fail the test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    signers = Signers(world.store, world.home / "keys", "console")
    console = open_console(world.store, world.config, signers, world.clock, f"127.0.0.1:{port}")
    server = uvicorn.Server(uvicorn.Config(create_app(console), port=port, log_level="error"))
    started = threading.Event()
    server.startup = _then(server.startup, started.set)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(60)
    problems: list[str] = []
    contexts = []

    def open_page(path: str, name: str | None = None, width: int = 1280, theme: str = "light"):
        context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=theme)
        contexts.append(context)
        if name:
            address = f"http://127.0.0.1:{port}"
            session = console.sessions.issue(Identity(name, "key", address))
            context.add_cookies([{"name": "spice_session", "value": session, "url": address}])
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    server.should_exit = True
    thread.join(30)
    assert not problems


def _then(first: Callable, second: Callable[[], object]) -> Callable:
    async def both(*args: object, **options: object) -> None:
        await first(*args, **options)
        second()

    return both


def test_the_switch_is_one_click_and_one_confirmation_away(world, opened) -> None:
    page = opened("/runs", "otto")
    page.get_by_role("link", name="Stop everything").click()
    page.get_by_role("button", name="Engage the kill-switch").click()
    page.get_by_role("heading", name="The kill-switch is engaged").wait_for()
    assert status(world.store).by == "otto"


def test_an_approver_reads_decides_and_is_told(world, opened) -> None:
    ref = world.requested()
    page = opened("/", "anna")
    page.get_by_role("link", name="Release checkpoint").click()
    page.get_by_text("Approve …").click()
    page.locator("details[open]").get_by_label("Why").fill("read ten answers")
    page.get_by_role("button", name="Yes, approve").click()
    page.get_by_role("status").get_by_text("You approved").wait_for()
    assert ref in page.url
    assert page.get_by_text("“read ten answers”").is_visible()


def test_by_keyboard_alone(opened) -> None:
    page = opened("/switch", "otto")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "reason"
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="The kill-switch is engaged").wait_for()


def test_other_open_pages_learn_of_the_switch_by_themselves(world, opened) -> None:
    watching = opened("/ledger")
    world.browser("otto").submit("/switch/engage", "/switch", reason="elsewhere")
    watching.get_by_text("Kill-switch engaged").wait_for()


@pytest.mark.parametrize(("width", "theme"), [(360, "light"), (360, "dark"), (1280, "dark")])
def test_no_page_is_wider_than_its_window(world, opened, width: int, theme: str) -> None:
    info = run_info(world.store, "demo")
    ref = world.requested()
    page = opened("/", width=width, theme=theme)
    origin = page.url.rstrip("/")
    for path in (
        "/runs",
        "/runs/demo",
        f"/{info.corpus}",
        f"/{info.checkpoint}",
        f"/{info.evaluation}",
        f"/{ref}",
        "/ledger",
    ):
        page.goto(origin + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
