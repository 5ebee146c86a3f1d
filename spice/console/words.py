"""The ledger's actions and the store's places in plain words."""

from __future__ import annotations

from spice.store.canonical import is_digest
from spice.trust.ledger import Entry

_TOLD = {
    "keys.add": "{actor} registered the key of {subject}",
    "keys.rotate": "{actor} replaced the key of {subject} by a new one",
    "keys.revoke": "{actor} revoked the key of {subject}",
    "checkpoint.sign": "{actor} signed {subject}",
    "request": "{actor} asked to release {candidate}",
    "approve": "{actor} approved {subject}",
    "reject": "{actor} rejected {subject}, for good",
    "release": "{actor} made {subject} live",
    "rollback": "{actor} went back from {subject} to {live}",
    "kill.engage": "{actor} engaged the kill-switch; {subject} is revoked",
    "kill.consent": "{actor} agreed to release the kill-switch; a second operator must agree, too",
    "kill.release": "{actor} agreed as the second operator; the kill-switch is released",
    "drill.start": "{actor} began a drill of the kill-switch",
    "drill.end": "{actor} ended the drill of the kill-switch",
    "refused": "{actor} was refused: {attempted}",
}
# What went well, what stops something, and the rest; each is a colour of the timeline.
_TONES = {"release": "good", "kill.release": "good", "approve": "good"}
_TONES |= dict.fromkeys(("kill.engage", "reject", "refused", "keys.revoke"), "bad")
_ATTEMPTS = {
    "approve": "an approval",
    "reject": "a rejection",
    "promote": "a promotion",
    "request": "a request",
    "rollback": "a rollback",
    "kill.release": "a release of the kill-switch",
}
_KINDS = {
    "checkpoints": "checkpoint",
    "evaluations": "evaluation",
    "requests": "request",
    "decisions": "decision",
}
_UNITS = {"byte": "bytes", "page": "pages", "row": "rows"}


def told(entry: Entry) -> str:
    """What an entry says, as a sentence without its full stop."""
    sentence = _TOLD.get(entry.action)
    if sentence is None:
        return f"{entry.person}: {entry.action} {short(entry.subject)}".rstrip()
    attempted = str(entry.body.get("attempted") or "")
    return sentence.format(
        actor=entry.person,
        subject=short(entry.subject) or "nothing",
        candidate=short(str(entry.body.get("candidate") or "")),
        live=short(str(entry.body.get("live") or "")) or "nothing",
        attempted=_ATTEMPTS.get(attempted, attempted),
    )


def tone(action: str) -> str:
    """`good`, `bad` or `plain`."""
    return _TONES.get(action, "plain")


def short(ref: str | None) -> str:
    """A reference as people say it: `checkpoint 4d90331e1cbb`, `factbook acab78f6c326`; anything else as it is."""
    prefix, _, last = (ref or "").rpartition("/")
    if not prefix or not is_digest(last):
        return ref or ""
    return f"{_KINDS.get(prefix) or prefix.rpartition('/')[2]} {last[:12]}"


def place(unit: str, start: int, end: int) -> str:
    """Where a passage stands in its file: `bytes 120 to 840`, `page 3`."""
    if unit != "byte" and start == end:
        return f"{unit} {start:,}"
    return f"{_UNITS.get(unit, unit)} {start:,} to {end:,}"


def size(count: int) -> str:
    """Bytes as people say them: `814 B`, `1.2 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def moment(time: str) -> str:
    """An ISO time as `2026-03-01 12:00:05 UTC`."""
    return f"{time[:10]} {time[11:19]} UTC" if len(time) >= 19 else time
