"""From a release's reference to something that answers, after everything about it has been verified."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from spice.config import Config
from spice.errors import ModelError
from spice.models.catalog import checkpoint_folder
from spice.serving.backend import Backend
from spice.serving.embedded import EmbeddedBackend
from spice.serving.upstream import connect
from spice.store import artifacts
from spice.store.base import ObjectStore


async def open_release(ref: str, store: ObjectStore, config: Config, clock: Callable[[], float]) -> Backend:
    """The back end of a release.

    The embedded engine gets files whose digests were compared with the manifest, and the manifest's with `ref`. An
    upstream server has its own copy, verified by `spice store fetch` before it was started; here the manifest is.

    Args:
        ref: `checkpoints/<digest>`.
        store: holds it.
        config: which engine, and how models are loaded.
        clock: seconds since the epoch.

    Raises:
        IntegrityError: a file was changed.
        ModelError: it cannot be loaded, or no upstream server holds it.
    """
    if config.serving.engine == "upstream":
        await asyncio.to_thread(artifacts.files, store, ref)
        return await connect(ref, config.serving.upstreams, os.environ)
    from spice.rollout.continuous import open_batch

    folder = await asyncio.to_thread(verified_folder, ref, store)
    try:
        batch = await asyncio.to_thread(open_batch, folder, config.model)
    except RuntimeError as error:  # what torch raises when memory runs out
        raise ModelError(f"{ref} cannot be loaded: {error}") from error
    return EmbeddedBackend(ref, batch, config.serving, clock)


def verified_folder(ref: str, store: ObjectStore) -> Path:
    """A local copy of the release, every file compared with its digest. Raises `IntegrityError`."""
    return checkpoint_folder(ref, store)
