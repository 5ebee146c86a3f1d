"""Norms in one operation each, for vLLM on a CPU.

vLLM's library has them, but vLLM asks for them on GPUs only; elsewhere it takes
seven operations of torch, which with a small model is a quarter of a step. To
be imported before vLLM chooses, and chosen by `IrOpPriorityConfig`.
"""

from __future__ import annotations

import torch
from vllm import ir
from vllm.platforms import current_platform

PROVIDER = "spice_cpu"
"""The name under which vLLM knows these implementations."""

_ON_CPU = current_platform.is_cpu()
if _ON_CPU:
    current_platform.import_kernels()


def _fits(*tensors: torch.Tensor | None, variance_size: int | None) -> bool:
    # In bfloat16 vLLM's operations round where the learner's do, and this kernel does not.
    return variance_size is None and all(one is not None and one.dtype == torch.float32 for one in tensors)


def _fits_norm(x: torch.Tensor, weight: torch.Tensor | None, epsilon: float, variance_size: int | None = None) -> bool:
    del epsilon
    return _fits(x, weight, variance_size=variance_size)


def _fits_sum(
    x: torch.Tensor,
    x_residual: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> bool:
    del epsilon
    return _fits(x, x_residual, weight, variance_size=variance_size)


@ir.ops.rms_norm.register_impl(PROVIDER, supported=_ON_CPU, supports_args=_fits_norm)  # type: ignore[untyped-decorator]
def rms_norm(
    x: torch.Tensor, weight: torch.Tensor | None, epsilon: float, variance_size: int | None = None
) -> torch.Tensor:
    """Weighted root-mean-square norm over the last dimension; see `vllm.ir.ops.rms_norm`."""
    del variance_size
    x = x.contiguous()  # a query is a part of what the projection of all three gave
    out = torch.empty_like(x)
    torch.ops._C.rms_norm(out, x, weight, epsilon)
    return out


@ir.ops.fused_add_rms_norm.register_impl(  # type: ignore[untyped-decorator]
    PROVIDER, supported=_ON_CPU, supports_args=_fits_sum, inplace=True
)
def fused_add_rms_norm(
    x: torch.Tensor,
    x_residual: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The norm of a sum, and the sum, in place of the two; see `vllm.ir.ops.fused_add_rms_norm`."""
    del variance_size
    torch.ops._C.fused_add_rms_norm(x, x_residual, weight, epsilon)
    return x, x_residual
