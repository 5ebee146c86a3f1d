"""New weights for a running vLLM engine.

On a GPU vLLM's `load_weights` copies into the tensors that it computes with. On
a CPU it computes with packed copies: the weights it loaded are gone, or, where
the output head is tied to the embedding, still there but no longer looked at.
So a CPU engine is reloaded layer by layer, and its heads are packed again: else
it would silently go on with the old head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from vllm.config import set_current_vllm_config
from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm
from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding


def load(runner: Any, state: Mapping[str, torch.Tensor]) -> None:
    """Copy weights into a model runner of this process.

    Args:
        runner: vLLM's model runner.
        state: weights under the model's own parameter names, in any float type.
    """
    model = runner.get_model()
    with torch.inference_mode(), set_current_vllm_config(runner.vllm_config):
        if runner.device.type != "cpu":
            model.load_weights(iter(state.items()))
            return
        # vLLM keeps no copy of what it is given before it is packed, and the learner goes on changing its own.
        dtype = runner.model_config.dtype
        runner.reload_weights(weights_iterator=((name, w.detach().to(dtype, copy=True)) for name, w in state.items()))
        pack_heads(model)


def pack_heads(model: torch.nn.Module) -> None:
    """Pack the embeddings of a CPU engine as they are now."""
    for module in model.modules():
        if isinstance(module, VocabParallelEmbedding):
            dispatch_cpu_unquantized_gemm(module, remove_weight=False)
