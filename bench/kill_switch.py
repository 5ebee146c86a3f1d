"""How long it takes to engage the kill-switch on a slow store.

    python bench/kill_switch.py [ENTRIES]

Each call to the store takes the given time longer. "stopped" is when the flag is
set, from which on nothing is promoted or trained; "complete" is when ledger and
pointer have followed.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ledger import build

from spice.promotion import switch, switchflag
from spice.store.folder import FolderStore
from spice.trust.enrol import enrol
from spice.trust.keyring import ROLES
from spice.trust.ledger import utc_now
from spice.trust.signing import Signer

CALLS = ("get", "read", "head", "list", "create", "swap", "put")


class Slow(FolderStore):
    """A folder whose every call takes longer, and which notes when the flag was set."""

    def __init__(self, root: Path, delay: float) -> None:
        super().__init__(root)
        self.calls, self.stopped = 0, (0, 0.0)
        self._nested = threading.local()  # a call that another one makes costs nothing more
        for name in CALLS:
            setattr(self, name, self._slow(name, getattr(super(), name), delay))

    def _slow(self, name: str, call: Callable[..., Any], delay: float) -> Callable[..., Any]:
        def slowed(*args: Any) -> Any:
            if getattr(self._nested, "on", False):
                return call(*args)
            self._nested.on = True
            self.calls += 1
            time.sleep(delay)
            try:
                result = call(*args)
            finally:
                self._nested.on = False
            if name in ("swap", "create") and args[0] == switchflag.KEY and not self.stopped[0]:
                self.stopped = (self.calls, time.perf_counter())
            return result

        return slowed


def main() -> None:
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    print(f"{'delay s':>8} {'entries':>8} {'calls to stop':>14} {'stopped s':>10} {'complete s':>11}")
    for delay in (0.0, 0.1, 1.0):
        with tempfile.TemporaryDirectory() as folder:
            store = FolderStore(Path(folder))
            root = build(store, entries)
            otto = Signer("operator", Ed25519PrivateKey.generate())
            enrol(store, otto, ROLES, utc_now, root)
            slow = Slow(store.root, delay)
            start = time.perf_counter()
            found = switch.engage(slow, otto, "bench", utc_now)
            end = time.perf_counter()
            assert found.engaged
            assert not found.problem, found.problem
            calls, stopped = slow.stopped
            print(f"{delay:>8} {entries:>8} {calls:>14} {stopped - start:>10.2f} {end - start:>11.2f}")


if __name__ == "__main__":
    main()
