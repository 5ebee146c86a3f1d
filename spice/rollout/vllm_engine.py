"""vLLM in this process: continuous batching over a paged cache.

Copies of a prompt share its cache blocks. vLLM shares only blocks that are
complete when a sequence is admitted, so requests enter in waves: one prompt
first, if others begin like it; then the first copy of each prompt; and the
other copies when that one has drawn its first token. Each prompt is computed
once, in place of once for every copy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch
from vllm import EngineArgs, LLMEngine
from vllm.config.kernel import IrOpPriorityConfig

from spice.config import ModelConfig, RolloutConfig
from spice.models.loading import load_tokenizer
from spice.rollout import vllm_weights
from spice.rollout.base import Completion, EngineStats, Request, complete
from spice.rollout.vllm_draw import Draw
from spice.rollout.vllm_norms import PROVIDER
from spice.rollout.vllm_stream import VllmStream, Work

_CPU_BLOCK = 32  # the smallest that vLLM's attention on a CPU has; its default of 128 shares less of a prompt
_CPU_CACHE_BYTES = 2**30


class VllmEngine:
    """Generates with vLLM, whose engine core runs in this process."""

    def __init__(self, engine: LLMEngine, tokenizer: Any, clock: Callable[[], float] = time.perf_counter) -> None:
        """Take an engine as `open_vllm` makes it.

        Args:
            engine: vLLM's engine, with `spice.rollout.vllm_draw.Draw` as its logits processor.
            tokenizer: of the model.
            clock: seconds.
        """
        self._engine = engine
        self._tokenizer = tokenizer
        self._clock = clock
        self._runner = engine.model_executor.driver_worker.worker.model_runner
        self._draw = next(one for one in self._runner.input_batch.logitsprocs.all if isinstance(one, Draw))
        self._names = count()
        self._work = Work()
        self._asleep = False

    def generate(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Continue every request; see `spice.rollout.base.Engine`."""
        return complete(self.stream(), requests)

    def stream(self) -> VllmStream:
        """A stream with nothing under way; see `spice.rollout.base.Engine`."""
        self._wake()
        return VllmStream(self._engine, self._draw, self._tokenizer, self._names.__next__, self._work, self._clock)

    def update_weights(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over the learner's weights, and forget the keys and values of the old ones."""
        if self._asleep:
            # The cache comes back only after the weights, so that the old and the new ones never stand beside it.
            self._engine.wake_up(tags=["weights"])
        vllm_weights.load(self._runner, state)
        self._wake()
        self._engine.reset_prefix_cache()

    def rest(self) -> None:
        """Free a GPU's memory for the learner; see `spice.rollout.base.Engine`. vLLM does not sleep on a CPU."""
        if self._engine.model_config.enable_sleep_mode and not self._asleep:
            self._engine.sleep(level=1)
            self._asleep = True

    def stats(self) -> EngineStats:
        """What the engine has done so far; see `spice.rollout.base.Engine`."""
        return EngineStats(self._work.seconds, self._work.generated, self._work.prompts, self._work.cached)

    def close(self) -> None:
        """End vLLM's engine core; see `spice.rollout.base.Engine`."""
        self._engine.engine_core.shutdown()

    def _wake(self) -> None:
        if self._asleep:
            self._engine.wake_up()
            self._asleep = False


def open_vllm(folder: Path, model: ModelConfig, rollout: RolloutConfig) -> VllmEngine:
    """Load the model in `folder` into vLLM, in `model.dtype`. Raises `ModelError`."""
    on_gpu = model.device != "cpu" and torch.cuda.is_available()
    place: dict[str, Any] = (
        {"gpu_memory_utilization": rollout.memory_share}
        if on_gpu
        else {
            "block_size": _CPU_BLOCK,
            "kv_cache_memory_bytes": _CPU_CACHE_BYTES,
            "ir_op_priority": IrOpPriorityConfig(rms_norm=[PROVIDER], fused_add_rms_norm=[PROVIDER]),
        }
    )
    if rollout.cache_bytes is not None:
        place["kv_cache_memory_bytes"] = rollout.cache_bytes
    threads = torch.set_num_threads, torch.get_num_threads()
    engine = LLMEngine.from_engine_args(
        EngineArgs(
            model=str(folder),
            dtype=model.dtype,
            max_model_len=rollout.max_length,
            max_num_seqs=rollout.max_sequences,
            enforce_eager=not on_gpu,  # compiling takes most of a minute on a CPU and gains nothing
            enable_prefix_caching=True,
            async_scheduling=False,  # the processor counts on the tokens of the step before
            generation_config="vllm",  # sampling is told by each request, not by a file of the model
            structured_outputs_config={"backend": "guidance"},  # the one that reads Lark; the other engine's, too
            logits_processors=[Draw],
            disable_log_stats=True,
            trust_remote_code=False,
            load_format="safetensors",
            use_tqdm_on_load=False,
            seed=0,
            enable_sleep_mode=on_gpu,
            **place,
        )
    )
    # On a CPU vLLM replaces torch's function by one that refuses, in the learner's process as well.
    torch.set_num_threads = threads[0]
    torch.set_num_threads(threads[1])
    return VllmEngine(engine, load_tokenizer(folder))
