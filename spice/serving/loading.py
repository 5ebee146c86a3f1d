"""From a release's reference to something that answers, after everything about it has been verified."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

from spice.config import Config
from spice.errors import ModelError
from spice.models.catalog import checkpoint_folder
from spice.promotion import checkpoint
from spice.serving.backend import Backend
from spice.serving.embedded import EmbeddedBackend
from spice.serving.upstream import connect
from spice.store.base import ObjectStore

log = logging.getLogger(__name__)


async def open_release(ref: str, store: ObjectStore, config: Config, clock: Callable[[], float]) -> Backend:
    """The back end of a release.

    The manifest's digest is compared with `ref`, and a signature that counts must cover all files by their digests. The
    embedded engine gets files that were compared with these; an upstream server has its own copy, which
    `spice store fetch` compared before it was started.

    Args:
        ref: `checkpoints/<digest>`.
        store: holds it.
        config: which engine, and how models are loaded.
        clock: seconds since the epoch.

    Raises:
        IntegrityError: a file was changed.
        RefusedError: nobody signed it whose signature counts.
        ModelError: it cannot be loaded, or no upstream server holds it.
    """
    signer = await asyncio.to_thread(checkpoint.require_signed, store, ref)
    log.info("%s bears the signature of %s", ref, signer)
    if config.serving.engine == "upstream":
        return await connect(ref, config.serving.upstreams, os.environ)
    from spice.rollout.continuous import open_batch

    folder = await asyncio.to_thread(checkpoint_folder, ref, store)
    try:
        batch = await asyncio.to_thread(open_batch, folder, config.model)
    except RuntimeError as error:  # what torch raises when memory runs out
        raise ModelError(f"{ref} cannot be loaded: {error}") from error
    return EmbeddedBackend(ref, batch, config.serving, clock)
