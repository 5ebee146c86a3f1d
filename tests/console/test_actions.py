"""Who may do what in the console, and that all of it is in the ledger under their name."""

from __future__ import annotations

from spice.promotion.switch import status


def test_from_request_to_live_and_back(world) -> None:
    ref = world.requested()
    page = f"/{ref}"
    assert "0 of 1 approvals" in world.browser().get(page).text
    done = world.browser("anna").submit(f"{page}/approve", page, reason="read ten answers")
    assert done.status_code == 303, done.text
    assert "You approved" in world.browser().get(done.headers["location"]).text
    assert world.browser("lena").submit(f"{page}/promote", page).status_code == 303
    live = status(world.store).live
    assert live is not None
    assert f"{live[:24]} is live" in world.browser().get("/").text
    assert world.browser("lena").submit("/rollback", "/rollback", live=live, reason="complaints").status_code == 303
    assert status(world.store).live is None
