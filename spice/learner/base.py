"""The door to the update: what every learner must do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Role = Literal["challenger", "reasoner"]


@dataclass(frozen=True)
class Trajectory:
    """One continuation with what it earned.

    Attributes:
        role: who played.
        prompt: token ids before the continuation.
        tokens: token ids of the continuation.
        logprobs: the engine's log-probabilities of `tokens`, in nats, shape [tokens].
        advantage: reward minus the mean reward of the role's batch.
        temperature: sampling temperature, above 0.
        allowed: packed bits of the tokens a grammar allowed, shape [tokens, words], or `None`.
    """

    role: Role
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    logprobs: NDArray[np.float32]
    advantage: float
    temperature: float
    allowed: NDArray[np.uint32] | None = None


@dataclass(frozen=True)
class UpdateStats:
    """What an update did.

    Attributes:
        loss: the policy loss of the last optimizer step.
        grad_norm: norm of the gradient before clipping, last step.
        logprob_gap_mean: mean absolute difference between engine and learner log-probabilities, in nats.
        logprob_gap_max: the largest of them.
        clipped_share: share of tokens whose ratio the clip cut off, last step.
        tokens: tokens run through the model in one step, shared prefixes once.
        importance_ess: effective sample size of the tokens' importance weights before the first step, as a share of
            their number, (sum w)^2 / (n sum w^2); 1 where engine and learner agree.
        mismatch_kl: Kullback-Leibler divergence of the learner from the engine before the first step, in nats per
            token, estimated without bias by w - 1 - log w (Schulman's k3).
        trained_tokens: tokens that carry a loss.
        padding_share: share of the computed tokens that only fill up.
        role_norms: norm of each role's own gradient before clipping, last step; empty where it is not known.
        flops: operations of all steps; see `spice.learner.flops`.
        seconds: time that the update took.
        mfu: share of the devices' peak that `flops` is; `None` where nobody knows the peak, as on a CPU.
    """

    loss: float
    grad_norm: float
    logprob_gap_mean: float
    logprob_gap_max: float
    clipped_share: float
    tokens: int
    importance_ess: float = 1.0
    mismatch_kl: float = 0.0
    trained_tokens: int = 0
    padding_share: float = 0.0
    role_norms: Mapping[Role, float] = field(default_factory=dict)
    flops: float = 0.0
    seconds: float = 0.0
    mfu: float | None = None


class Captured(Protocol):
    """A learner's state at one moment."""

    def write(self, folder: Path) -> None:
        """Write it as safetensors. Raises `TrainingError` if that fails."""
        ...


class Learner(Protocol):
    """Holds the policy's master weights and improves them."""

    def update(self, trajectories: Sequence[Trajectory], steps: int) -> UpdateStats:
        """Take `steps` optimizer steps on one batch of trajectories of both roles."""
        ...

    def weights(self) -> Mapping[str, torch.Tensor]:
        """The policy's weights under the model's own parameter names, adapters merged in."""
        ...

    def capture(self) -> Captured:
        """Copy everything that the next update depends on, so that training can go on while it is written.

        With several ranks it is this rank's part.
        """
        ...

    def load(self, folder: Path) -> None:
        """Take up what all ranks captured and wrote into `folder`, whatever their number.

        With as many ranks as then, the next update gives the same bytes as if nothing had happened.
        """
        ...
