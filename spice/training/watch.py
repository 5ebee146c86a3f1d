"""Find the rank that hangs, among ranks that all stand still because of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from spice.training.heartbeat import Beat

# Of a second; the heart itself takes about a thousandth. Less than this is no work.
_LEAST_WORK = 0.01


@dataclass
class _Seen:
    beat: Beat
    beaten: float  # when its number was last seen to change
    worked: float  # when it was last seen to work, or to wait for others
    busy: float  # its processor time then


class Watch:
    """Looks at beats again and again, and says who hangs."""

    def __init__(self, patience: float) -> None:
        """A rank hangs that does nothing for `patience` seconds, and does not wait for others."""
        self._patience = patience
        self._seen: dict[int, _Seen] = {}
        self._looked: float | None = None

    def look(self, beats: Sequence[Beat], now: float, over: Collection[int] = ()) -> tuple[Beat, str] | None:
        """Take in the newest beats at the time `now`, in seconds.

        Args:
            beats: the last one of every rank that has begun to beat.
            now: the time.
            over: ranks that have said how they ended. They beat no more, while another may still be writing.

        Returns:
            The rank that hangs, and how one can tell; or `None`.
        """
        # A machine that slept, or had no time for us, has had none for them.
        slept = 0.0 if self._looked is None else max(0.0, now - self._looked - self._patience / 3)
        self._looked = now
        for beat in beats:
            seen = self._seen.setdefault(beat.rank, _Seen(beat, now, now, beat.busy))
            seen.beaten += slept
            seen.worked += slept
            if beat.number != seen.beat.number or beat.pid != seen.beat.pid:
                seen.beat, seen.beaten = beat, now
            elapsed = now - seen.worked
            if beat.waiting or beat.busy - seen.busy > _LEAST_WORK * max(elapsed, 1.0):
                seen.worked, seen.busy = now, beat.busy
        at_work = [seen for rank, seen in self._seen.items() if rank not in over]
        # When all have ended, their processes are still to go, and are not waited for without end.
        at_work = at_work or list(self._seen.values())
        for seen in at_work:
            if now - seen.beaten >= self._patience:
                return seen.beat, f"has given no sign of life for {now - seen.beaten:.0f} s"
        for seen in at_work:
            if now - seen.worked >= self._patience:
                return seen.beat, f"has done nothing for {now - seen.worked:.0f} s, and waits for no other rank"
        return None
