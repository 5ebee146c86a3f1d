from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spice.store.folder import FolderStore
from spice.trust.signing import Signer


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def new_signer() -> Callable[[str], Signer]:
    return lambda name: Signer(name, Ed25519PrivateKey.generate())


@pytest.fixture
def clock() -> Callable[[], datetime]:
    """A second passes at every look."""
    moments = iter(range(10**6))
    return lambda: datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=next(moments))
