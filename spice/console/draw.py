"""Pages from templates: everything is escaped, and every page shows the switch, the ledger's state and who is here."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader

from spice.console import words
from spice.console.views import ledger
from spice.console.watch import Snapshot
from spice.console.web import Visit
from spice.reporting import facts
from spice.reporting.report import environment
from spice.reporting.report import style as report_style
from spice.store.canonical import digest

_TITLES = {
    401: "Please log in",
    403: "Not allowed",
    404: "Not found",
    409: "Refused",
    429: "Too often",
    503: "Out of reach",
}


def page(here: Visit, template: str, status: int = 200, **shown: Any) -> HTMLResponse:
    """Draw a page.

    Args:
        here: who looks; the page's forms carry their CSRF token.
        template: its file without `.html.j2`.
        status: of the answer.
        shown: what the template shows. `seen` is the snapshot it was made from, if one was taken already.
    """
    seen = shown.pop("seen", None) or here.look()
    html = (
        _environment()
        .get_template(f"{template}.html.j2")
        .render(
            switch=ledger.switch(seen),
            ledger_state=ledger.state(seen),
            state_digest=state_digest(seen),
            person=here.person,
            token=here.token,
            path=here.request.url.path,
            notice=here.notice,
            facts=facts,
            words=words,
            **shown,
        )
    )
    response = HTMLResponse(html, status)
    here.keep(response)
    return response


def problem(here: Visit, status: int, message: str, headers: dict[str, str]) -> HTMLResponse:
    """Say on a page why something was not done or cannot be shown."""
    response = page(here, "problem", status, title=_TITLES.get(status, "That did not work"), message=message)
    response.headers.update(headers)
    return response


def state_digest(seen: Snapshot) -> str:
    """Equal for two looks at which every page would show the same state of switch and ledger."""
    return digest(f"{ledger.switch(seen).model_dump_json()} {seen.problem}".encode())[:16]


@cache
def style() -> str:
    """The style sheet: the run report's, and what only the console has."""
    own = resources.files("spice.console").joinpath("templates/console.css").read_text("utf-8")
    return f"{report_style()}\n{own}"


@cache
def _environment() -> Environment:
    found = environment(PackageLoader("spice.console", "templates"))
    found.filters |= {
        "short": words.short,
        "moment": words.moment,
        "size": words.size,
        "tone": words.tone,
        "tail": lambda ref: ref.rpartition("/")[2],
    }
    return found
