"""How long it takes to verify a ledger: every hash, every signature, every rule.

    python bench/ledger.py [ENTRIES]

Writes a ledger of 100,000 entries by four people into a temporary folder, then
verifies it in a fresh process per row, on one core and on all of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spice.store.canonical import digest, dumps
from spice.store.folder import FolderStore
from spice.trust.keyring import ROLES
from spice.trust.ledger import GENESIS, key_of, timestamp
from spice.trust.reading import KIND
from spice.trust.register import register
from spice.trust.signing import Signer

VERIFY = """
import sys, time
from pathlib import Path
from spice.promotion import audit
from spice.store.folder import FolderStore
start, used = time.perf_counter(), time.process_time()
found = audit.verify(FolderStore(Path(sys.argv[1])))
assert found.problems == (), found.problems
print(f"{found.entries:>8} {time.perf_counter() - start:>8.2f} {time.process_time() - used:>8.2f}")
"""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        build(FolderStore(Path(folder)), count)
        print(f"{'cores':>8} {'entries':>8} {'wall s':>8} {'CPU s':>8}")
        cores = sorted(os.sched_getaffinity(0))
        for used in (cores[:1], cores):
            run = ["taskset", "-c", ",".join(map(str, used)), sys.executable, "-c", VERIFY, folder]
            print(f"{len(used):>8} {subprocess.run(run, check=True, capture_output=True, text=True).stdout.rstrip()}")


def build(store: FolderStore, count: int) -> Signer:
    """A ledger like any other, written without flushing each entry to the disk, which would take minutes.

    Returns the signer of the first key.
    """
    people = [Signer(name, Ed25519PrivateKey.generate()) for name in ("root", "anna", "boris", "otto")]
    for person in people:
        register(store, person, ROLES, people[0])
    (store.root / "ledger").mkdir()
    previous, start = GENESIS, datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(count):
        signer = people[number % len(people)]
        subject = f"requests/{digest(str(number).encode())}"
        content = {
            "sequence": number,
            "previous": previous,
            "time": timestamp(start + timedelta(minutes=number)),
            "actor": signer.name,
            "action": "refused",
            "subject": subject,
            "body": {"attempted": "promote", "reason": "0 of 1 approvals: 1 missing."},
        }
        data = dumps({**content, "signature": signer.sign(KIND, content)})
        (store.root / key_of(number)).write_bytes(data)
        previous = digest(data)
    return people[0]


if __name__ == "__main__":
    main()
