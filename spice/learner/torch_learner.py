"""The plain learner: AdamW on float32 master weights, computing in bfloat16 or float32, whole on every rank.

In bfloat16 the model itself is held in bfloat16, as the engine holds it, so that
both see the same numbers; gradients are added up, and the optimizer steps, in
float32. Autocast would keep float32 activations between the matrix products,
which on a CPU costs more time than the products themselves.

With several ranks each takes a share of the batch, the gradients are added up,
and all take the same step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from spice.config import LearnerConfig
from spice.errors import TrainingError
from spice.learner.base import Role, Trajectory, UpdateStats
from spice.learner.batch import ROLES, microbatches
from spice.learner.flops import Flops, peak_flops
from spice.learner.lora import add_adapters, merged_weights
from spice.learner.loss import objective
from spice.learner.policy import Policy, tensors
from spice.learner.ranks import ALONE, Ranks
from spice.learner.shards import MASTER, MEAN, SQUARE, Shard, Shards, pieces_of, share
from spice.learner.tally import Tally
from spice.learner.trie import Packed, pack

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class TorchLearner:
    """Policy-gradient updates with gradient accumulation over packed micro-batches."""

    def __init__(
        self,
        model: Any,
        config: LearnerConfig,
        budgets: dict[str, int],
        ranks: Ranks = ALONE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take over `model`, loaded in float32.

        Args:
            model: causal language model loaded by `spice.models.loading`.
            config: learning rate, clip, micro-batch size and the like.
            budgets: longest output of each role, in tokens, the constant in the loss.
            ranks: who learns the same policy beside this process.
            clock: seconds.
        """
        adapted = add_adapters(model, config.lora) if config.lora.rank else model
        masters = {name: p.detach().float() for name, p in adapted.named_parameters() if p.requires_grad}
        self._model = adapted.to(_DTYPES[config.precision])
        self._lora = config.lora.rank > 0
        self._config, self._budgets, self._ranks, self._clock = config, budgets, ranks, clock
        if config.gradient_checkpointing:
            self._model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            self._model.train()  # transformers checkpoints in training mode only; there is no dropout to switch on
        # Adapters change layers in place, so the model below them computes with them.
        self._policy = Policy(model)
        self._device = self._policy.device
        self._flops = Flops(model.config, {n: p.shape for n, p in model.named_parameters()}, adapters=self._lora)
        self._peak = config.peak_flops or peak_flops(self._device)
        self._trained = {name: p for name, p in self._model.named_parameters() if p.requires_grad}
        self._masters = {name: self._master(p, masters[name]) for name, p in self._trained.items()}
        ranks.copy_first([master.detach() for master in self._masters.values()])
        self._publish()
        self._optimizer = torch.optim.AdamW(
            self._masters.values(),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            fused=True,
        )

    def update(self, trajectories: Sequence[Trajectory], steps: int) -> UpdateStats:
        """Take optimizer steps on one batch; see `spice.learner.base.Learner`."""
        if not trajectories:
            raise TrainingError("There is nothing to learn from: the batch has no trajectories.")
        began = self._clock()
        ranks = self._ranks
        packs = microbatches(trajectories, self._budgets, self._config.microbatch_tokens, ranks.rank, ranks.size)
        tally = Tally(self._device)
        for step in range(steps):
            tally.begin_step()
            self._optimizer.zero_grad(set_to_none=True)
            role_norms = self._accumulate(packs, tally, first=step == 0)
            norm = torch.nn.utils.clip_grad_norm_(self._masters.values(), self._config.max_grad_norm)
            if not torch.isfinite(norm):
                raise TrainingError(
                    "The gradient is not finite. Lower learner.learning_rate, or set learner.precision=float32; "
                    "the last checkpoint is untouched."
                )
            self._optimizer.step()
            self._publish()
        return tally.stats(ranks, float(norm), role_norms, self._clock() - began, self._peak)

    def logprobs(self, trajectories: Sequence[Trajectory]) -> list[torch.Tensor]:
        """The learner's log-probability of every token of every trajectory, each of shape [tokens]."""
        found = []
        with torch.no_grad():
            for trajectory in trajectories:
                (packed,) = pack([trajectory], [1.0], budget=1)
                found.append(self._policy(*tensors(packed, self._device)).cpu())
        return found

    def weights(self) -> Mapping[str, torch.Tensor]:
        """The policy's weights, adapters merged in; see `spice.learner.base.Learner`."""
        if self._lora:
            return merged_weights(self._model)
        return {name: master.detach() for name, master in self._masters.items()}

    def computing(self) -> list[torch.Tensor]:
        """What the forward pass reads, rounded to `learner.precision`; the masters themselves in float32."""
        return [p.detach() for p in self._model.parameters()]

    def capture(self) -> Shard:
        """Copy this rank's share of weights and moments to the host; see `spice.learner.base.Learner`."""
        sizes = {name: p.numel() for name, p in self._masters.items()}
        mine = share(sizes, self._ranks.rank, self._ranks.size)
        steps = [float(state["step"]) for state in self._optimizer.state.values()]
        return Shard(
            self._ranks.rank,
            int(max(steps, default=0)),
            {name: tuple(p.shape) for name, p in self._masters.items()},
            pieces_of((name, self._values(self._masters[name])) for name in mine),
        )

    def load(self, folder: Path) -> None:
        """Take up what was captured; see `spice.learner.base.Learner`."""
        shards = Shards(folder)
        shards.require({name: tuple(p.shape) for name, p in self._masters.items()})
        with torch.no_grad():
            for name, parameter in self._masters.items():
                parameter.copy_(shards.whole(name))
                mean, square = shards.read(name, MEAN), shards.read(name, SQUARE)
                if mean is not None and square is not None:
                    self._optimizer.state[parameter] = {
                        "step": torch.tensor(float(shards.steps), dtype=torch.float32),
                        MEAN: mean.to(self._device),
                        SQUARE: square.to(self._device),
                    }
        self._publish()

    def _accumulate(self, packs: Mapping[Role, Sequence[Packed]], tally: Tally, *, first: bool) -> dict[Role, float]:
        """Leave the gradient of the whole batch in the master weights; returns its norm by role."""
        norms: dict[Role, float] = dict.fromkeys(ROLES, 0.0)
        total: list[torch.Tensor] = []
        for role, mine in packs.items():
            for packed in mine:
                self._differentiate(packed, tally, first=first)
            # Every rank has to join in, also one that had nothing of this role.
            gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._masters.values()]
            self._ranks.add(gradients)
            norms[role] = float(torch.nn.utils.get_total_norm(gradients))
            total = [a.add_(b) for a, b in zip(total, gradients, strict=True)] if total else gradients
            for parameter in self._masters.values():
                parameter.grad = None
        for parameter, gradient in zip(self._masters.values(), total, strict=True):
            parameter.grad = gradient
        return norms

    def _differentiate(self, packed: Packed, tally: Tally, *, first: bool) -> None:
        """Add one micro-batch's gradient to what is there."""
        old, gains, losses = (
            torch.from_numpy(array).to(self._device) for array in (packed.logprobs, packed.gains, packed.losses)
        )
        logprobs = self._policy(*tensors(packed, self._device))
        loss, clipped = objective(logprobs, old, gains, losses, self._config)
        loss.backward()  # type: ignore[no-untyped-call]
        tally.see(loss, clipped)
        tally.work(self._flops, packed)
        if first:
            tally.compare(packed, logprobs.detach(), old)

    def _master(self, parameter: torch.nn.Parameter, exact: torch.Tensor) -> torch.nn.Parameter:
        """The float32 weight behind a parameter, which takes over the parameter's gradients as they come."""
        if parameter.dtype == torch.float32:
            return parameter
        master = torch.nn.Parameter(exact)

        def take(computed: torch.Tensor) -> None:
            if computed.grad is not None:
                if master.grad is None:
                    master.grad = computed.grad.float()
                else:
                    master.grad += computed.grad
                computed.grad = None

        parameter.register_post_accumulate_grad_hook(take)  # type: ignore[no-untyped-call]
        return master

    def _publish(self) -> None:
        """Round the master weights into the model that computes."""
        with torch.no_grad():
            for name, parameter in self._trained.items():
                if parameter is not self._masters[name]:
                    parameter.copy_(self._masters[name])

    def _values(self, master: torch.nn.Parameter) -> dict[str, torch.Tensor]:
        state = self._optimizer.state.get(master)
        return {MASTER: master, **({MEAN: state[MEAN], SQUARE: state[SQUARE]} if state else {})}
