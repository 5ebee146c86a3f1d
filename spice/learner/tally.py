"""What an update did, counted up over micro-batches and ranks."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from spice.learner.base import Role, UpdateStats
from spice.learner.flops import Flops
from spice.learner.ranks import Ranks
from spice.learner.trie import Packed

_LARGEST_LOG_RATIO = 50.0  # beyond it the sums of the weights would not be finite, and nothing more is said by them


class Tally:
    """Figures of one update on one rank. They stay on the device until all are there: reading one waits for it."""

    def __init__(self, device: torch.device) -> None:
        """Begin at nothing; `device` is where the ranks add up tensors."""
        self._device = device
        self._losses: list[torch.Tensor] = []
        self._clipped: list[torch.Tensor] = []
        self._tokens, self._trained, self._padding, self._flops = 0, 0, 0, 0.0
        self._gaps: list[torch.Tensor] = []

    def begin_step(self) -> None:
        """Forget what is told of the last optimizer step only."""
        self._losses, self._clipped = [], []

    def see(self, loss: torch.Tensor, clipped: torch.Tensor) -> None:
        """Count one micro-batch of the current step."""
        self._losses.append(loss.detach())
        self._clipped.append(clipped.sum())

    def compare(self, packed: Packed, learner: torch.Tensor, engine: torch.Tensor) -> None:
        """Count one micro-batch of the first step, in which the learner's weights are those that the engine had."""
        self._gaps.append((learner - engine).double())
        self._tokens += len(packed.tokens)
        self._trained += len(packed.targets)

    def work(self, flops: Flops, packed: Packed) -> None:
        """Count the operations of one micro-batch."""
        self._flops += flops.of(packed)

    def pad(self, tokens: int) -> None:
        """Count tokens that were computed only to keep step with other ranks."""
        self._padding += tokens

    def stats(
        self, ranks: Ranks, norm: float, role_norms: Mapping[Role, float], seconds: float, peak: float | None
    ) -> UpdateStats:
        """The figures of all ranks together; every rank gets the same."""
        gaps = torch.cat(self._gaps) if self._gaps else torch.zeros(0, dtype=torch.float64, device=self._device)
        weights = gaps.clamp_max(_LARGEST_LOG_RATIO).exp()
        # float64 keeps the order of addition from mattering.
        seen = [torch.stack(one).double().sum() if one else gaps.sum() for one in (self._losses, self._clipped)]
        measured = [gaps.abs().sum(), weights.sum(), (weights**2).sum(), (weights - 1 - gaps).sum()]
        counted = [self._tokens, self._trained, self._padding, self._flops]
        sums = torch.cat(
            [torch.stack([*seen, *measured]), torch.tensor(counted, dtype=torch.float64, device=self._device)]
        )
        largest = gaps.abs().max() if len(gaps) else gaps.sum()
        ranks.add([sums])
        ranks.most(largest)
        loss, clipped, gap, once, squared, kl, tokens, trained, padding, flops = sums.tolist()
        return UpdateStats(
            loss=loss,
            grad_norm=norm,
            logprob_gap_mean=gap / trained,
            logprob_gap_max=float(largest),
            clipped_share=clipped / trained,
            tokens=int(tokens),
            importance_ess=once**2 / (trained * squared),
            mismatch_kl=kl / trained,
            trained_tokens=int(trained),
            padding_share=padding / (tokens + padding),
            role_norms=dict(role_norms),
            flops=flops,
            seconds=seconds,
            mfu=flops / (seconds * peak * ranks.size) if peak and seconds > 0 else None,
        )
