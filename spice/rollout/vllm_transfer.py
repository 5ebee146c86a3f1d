"""Bring the learner's weights into a vLLM server."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from spice.rollout.vllm_http import Http


class Transfer(Protocol):
    """A way for weights."""

    def send(self, state: Mapping[str, torch.Tensor]) -> None:
        """Make these the server's weights, and return when they are. Raises `ModelError`."""
        ...


class FileTransfer:
    """By a file that the server's process can read: for servers on a CPU, or where there is no NCCL."""

    def __init__(self, http: Http, dtype: str) -> None:
        """Take the server, and the number format in which it computes."""
        self._http, self._dtype = http, getattr(torch, dtype)

    def send(self, state: Mapping[str, torch.Tensor]) -> None:
        """Write, tell, and remove; see `Transfer`."""
        from safetensors.torch import save_file

        with tempfile.TemporaryDirectory(prefix="spice-weights-") as folder:
            path = Path(folder) / "weights.safetensors"
            save_file({name: w.detach().to("cpu", self._dtype).contiguous() for name, w in state.items()}, path)
            self._http.post("/collective_rpc", {"method": "take_weights", "args": [str(path)]})


class NcclTransfer:
    """From GPU to GPU, by vLLM's own weight transfer. Never run by us: it needs two GPUs."""

    def __init__(self, http: Http, dtype: str, address: str, port: int, workers: int) -> None:
        """Say where learner and server meet.

        Args:
            http: the server.
            dtype: the number format in which it computes.
            address: of this machine, as the server's workers see it.
            port: a free one on this machine.
            workers: GPUs of the server.
        """
        self._http, self._dtype = http, getattr(torch, dtype)
        self._place: dict[str, Any] = {"master_address": address, "master_port": port, "world_size": workers + 1}
        self._engine: Any = None
        self._source: Any = None

    def send(self, state: Mapping[str, torch.Tensor]) -> None:
        """Broadcast; see `Transfer`. The first time, learner and server find each other."""
        from vllm.distributed.weight_transfer.clients import HTTPVLLMWeightSyncClient
        from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo, NCCLTrainerWeightTransferEngine

        if self._engine is None:
            self._source = _source(self._dtype)
            self._engine = NCCLTrainerWeightTransferEngine.trainer_init(
                NCCLTrainerInitInfo(rank=0, **self._place),
                client=HTTPVLLMWeightSyncClient(self._http.url),
                source=self._source,
            )
        self._source.state = state
        self._engine.send_weights()


def _source(dtype: torch.dtype) -> Any:
    """What vLLM asks for the weights of each transfer: an object of its own type, which is known only with vLLM."""
    from vllm.distributed.weight_transfer.base import ParamMeta, WeightSource

    class Source(WeightSource):  # type: ignore[misc]
        state: Mapping[str, torch.Tensor]

        def metadata(self) -> list[Any]:
            return [ParamMeta(name, dtype, tuple(weight.shape)) for name, weight in self.state.items()]

        def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
            for name, weight in self.state.items():
                yield name, weight.detach().to("cuda", dtype)

    return Source()
