"""The processes that train one policy together, as one of them sees them.

`torchrun` starts them and says through the environment which is which. Tensors
are added up over NCCL where they are on a GPU and over gloo elsewhere; words
(bytes) always travel over gloo. With one rank nothing is sent, and no process
group is needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import torch
import torch.distributed as dist

from spice.errors import TrainingError


class LostRankError(TrainingError):
    """Another rank is gone, so this one cannot go on either; why is that one's to say."""


Waiting = Callable[[], AbstractContextManager[None]]
# Ranks wait for one another as long as the slowest rollout takes. Whoever hangs is found by the watcher, not by this.
_PATIENCE = timedelta(hours=6)
_BUCKET = 2**25  # elements; few enough to need little memory, many enough to hide the latency


class Ranks:
    """All ranks of a run, seen from one of them. Every method with others in it must be called by all, in one order.

    Attributes:
        rank: this one's number, from 0.
        size: how many there are.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        group: dist.ProcessGroup | None = None,
        words: dist.ProcessGroup | None = None,
        waiting: Waiting = nullcontext,
    ) -> None:
        """Take this rank's place.

        Args:
            rank: its number in the group.
            size: ranks in the group.
            group: sums tensors; all processes if none.
            words: carries bytes, over gloo; `group` if none.
            waiting: a context in which this rank does nothing but wait for others.
        """
        self.rank, self.size = rank, size
        self._group, self._words = group, words if words is not None else group
        self._waiting = waiting

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, waiting: Waiting = nullcontext) -> Self:
        """Join the ranks that `torchrun` started, or be the only one; takes the GPU of this rank's number."""
        size = int(environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return cls(waiting=waiting)
        if torch.cuda.is_available():
            torch.cuda.set_device(int(environ["LOCAL_RANK"]))
        if not dist.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            dist.init_process_group(backend, timeout=_PATIENCE)
        words = dist.new_group(backend="gloo", timeout=_PATIENCE)
        return cls(dist.get_rank(), size, None, words, waiting)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the others for good; this process can join no others afterwards."""
        # NCCL would wait for a rank that is gone.
        if dist.is_initialized() and not isinstance(error, LostRankError):
            dist.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which decides and writes."""
        return self.rank == 0

    def aside(self) -> Ranks:
        """The same ranks on a line of their own, so that a thread can talk beside the main one. All must call it."""
        if self.size == 1:
            return self
        return Ranks(self.rank, self.size, None, dist.new_group(backend="gloo", timeout=_PATIENCE))

    def add(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all ranks, in place.

        Args:
            tensors: same shapes and order on every rank, one dtype, on one device.
        """
        if self.size == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            self._reduce(flat, dist.ReduceOp.SUM)
            for tensor, part in zip(bucket, torch.split(flat, [t.numel() for t in bucket]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def most(self, tensor: torch.Tensor) -> None:
        """Replace each element by its largest over all ranks, in place."""
        if self.size > 1:
            self._reduce(tensor, dist.ReduceOp.MAX)

    def copy_first(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by rank 0's, in place."""
        if self.size > 1:
            with self._joined():
                for tensor in tensors:
                    dist.broadcast(tensor, group=self._group, group_src=0)

    def gather(self, data: bytes) -> list[bytes]:
        """Every rank's bytes, in order of rank, on every rank."""
        if self.size == 1:
            return [data]
        lengths = torch.zeros(self.size, dtype=torch.int64)
        lengths[self.rank] = len(data)
        with self._joined():
            dist.all_reduce(lengths, group=self._words)
            return [self._send(data, rank, length) for rank, length in enumerate(lengths.tolist())]

    def tell(self, data: bytes) -> bytes:
        """Rank 0's bytes on every rank; what the others pass is ignored."""
        return self.gather(data if self.first else b"")[0]

    def _send(self, data: bytes, source: int, length: int) -> bytes:
        """`data` of rank `source` on every rank."""
        if not length:
            return b""
        buffer = torch.empty(length, dtype=torch.uint8)
        if self.rank == source:
            buffer.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        dist.broadcast(buffer, group=self._words, group_src=source)
        return data if self.rank == source else buffer.numpy().tobytes()

    @contextmanager
    def _joined(self) -> Iterator[None]:
        """Wait for all ranks. Raises `LostRankError` if one is gone."""
        with self._waiting():
            try:
                yield
            except RuntimeError as error:  # what torch.distributed raises, also where the other side has closed
                raise LostRankError(
                    f"Rank {self.rank} lost another rank, so it ends too; the reason is in that rank's log: {error}"
                ) from error

    def _reduce(self, tensor: torch.Tensor, how: Any) -> None:
        with self._joined():
            dist.all_reduce(tensor, how, group=self._group)


ALONE = Ranks()
"""One process that trains by itself."""


def _buckets(tensors: Sequence[torch.Tensor]) -> list[list[torch.Tensor]]:
    buckets: list[list[torch.Tensor]] = []
    size = _BUCKET
    for tensor in tensors:
        if size + tensor.numel() > _BUCKET:
            buckets.append([])
            size = 0
        buckets[-1].append(tensor)
        size += tensor.numel()
    return buckets
