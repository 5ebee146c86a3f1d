"""Settings of the process that training depends on."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def prepare(threads: int) -> None:
    """Fix the number of threads (0: its share of the cores), choose deterministic kernels, and keep freed memory.

    By default glibc returns every large tensor to the system and gets it back
    page by page, zeroed. Keeping it saved a third of an update's processor time
    on a model of 135 million parameters.
    """
    import torch

    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # what torchrun started on this machine
    torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) // beside))
    # A GPU has no deterministic cumulative sum, by which tokens are drawn, so there it is a wish and not a demand.
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    # Filling fresh memory would show reads of it, at a great cost; what we run reads none.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, 2**30)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_M_TOP_PAD, 2**28)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread inside, so that results do not depend on how many cores there are."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
