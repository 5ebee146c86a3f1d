"""The learner for one process: AdamW on float32 master weights, computing in bfloat16 or float32.

In bfloat16 the model itself is held in bfloat16, as the engine holds it, so that
both see the same numbers; gradients are added up, and the optimizer steps, in
float32. Autocast would keep float32 activations between the matrix products,
which on a CPU costs more time than the products themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from spice.config import LearnerConfig
from spice.errors import TrainingError
from spice.learner.base import Trajectory, UpdateStats
from spice.learner.lora import add_adapters, merged_weights
from spice.learner.loss import policy_loss, sequence_weights, token_logprobs
from spice.learner.trie import Packed, pack

_LARGEST_LOG_RATIO = 50.0  # beyond it the sums of the weights would not be finite, and nothing more is said by them
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class TorchLearner:
    """Policy-gradient updates with gradient accumulation over packed micro-batches."""

    def __init__(self, model: Any, config: LearnerConfig, budgets: dict[str, int]) -> None:
        """Take over `model`, loaded in float32.

        Args:
            model: causal language model loaded by `spice.models.loading`.
            config: learning rate, clip, micro-batch size and the like.
            budgets: longest output of each role, in tokens, the constant in the loss.
        """
        adapted = add_adapters(model, config.lora) if config.lora.rank else model
        masters = {name: p.detach().float() for name, p in adapted.named_parameters() if p.requires_grad}
        self._model = adapted.to(_DTYPES[config.precision])
        self._lora = config.lora.rank > 0
        self._config = config
        self._budgets = budgets
        if config.gradient_checkpointing:
            self._model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            self._model.train()  # transformers checkpoints in training mode only; there is no dropout to switch on
        self._base = model.base_model
        self._head = model.get_output_embeddings()
        self._device = self._head.weight.device
        self._trained = {name: p for name, p in self._model.named_parameters() if p.requires_grad}
        self._masters = {name: self._master(p, masters[name]) for name, p in self._trained.items()}
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
        weighted = list(zip(trajectories, sequence_weights(trajectories, self._budgets), strict=True))
        # An answer that earned what its peers earned has no gradient, and is not worth the computation.
        telling = [(t, weight) for t, weight in weighted if t.advantage] or weighted
        packs = list(pack([t for t, _ in telling], [w for _, w in telling], self._config.microbatch_tokens))
        count = sum(len(p.targets) for p in packs)
        gaps: list[torch.Tensor] = []
        for step in range(steps):
            loss, clipped = 0.0, 0
            self._optimizer.zero_grad(set_to_none=True)
            for packed in packs:
                logprobs, old = self._logprobs(packed)
                part, cut = policy_loss(
                    logprobs, old, self._tensor(packed.gains), self._tensor(packed.losses), self._config.clip
                )
                part.backward()  # type: ignore[no-untyped-call]
                loss += float(part.detach())
                clipped += int(cut.sum())
                if step == 0:
                    gaps.append(logprobs.detach() - old)
            norm = torch.nn.utils.clip_grad_norm_(self._masters.values(), self._config.max_grad_norm)
            if not torch.isfinite(norm):
                raise TrainingError(
                    "The gradient is not finite. Lower learner.learning_rate, or set learner.precision=float32; "
                    "the last checkpoint is untouched."
                )
            self._optimizer.step()
            self._publish()
        difference = torch.cat(gaps)
        gap, importance = difference.abs(), difference.double().clamp_max(_LARGEST_LOG_RATIO).exp()
        return UpdateStats(
            loss=loss,
            grad_norm=float(norm),
            logprob_gap_mean=float(gap.mean()),
            logprob_gap_max=float(gap.max()),
            clipped_share=clipped / count,
            tokens=sum(len(p.tokens) for p in packs),
            importance_ess=float(importance.sum() ** 2 / (len(importance) * (importance**2).sum())),
        )

    def logprobs(self, trajectories: Sequence[Trajectory]) -> list[torch.Tensor]:
        """The learner's log-probability of every token of every trajectory, each of shape [tokens]."""
        found = []
        with torch.no_grad():
            for trajectory in trajectories:
                (packed,) = pack([trajectory], [1.0], budget=1)
                found.append(self._logprobs(packed)[0].cpu())
        return found

    def weights(self) -> Mapping[str, torch.Tensor]:
        """The policy's weights, adapters merged in; see `spice.learner.base.Learner`."""
        if self._lora:
            return merged_weights(self._model)
        return {name: master.detach() for name, master in self._masters.items()}

    def save(self, folder: Path) -> None:
        """Write trained weights and optimizer state; see `spice.learner.base.Learner`."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: p.detach().contiguous() for name, p in self._masters.items()}, folder / "master.safetensors")
        moments: dict[str, torch.Tensor] = {}
        steps: dict[str, float] = {}
        for name, parameter in self._masters.items():
            state = self._optimizer.state.get(parameter)
            if state:
                moments[f"{name}/exp_avg"] = state["exp_avg"].contiguous()
                moments[f"{name}/exp_avg_sq"] = state["exp_avg_sq"].contiguous()
                steps[name] = float(state["step"])
        save_file(moments, folder / "optimizer.safetensors")
        (folder / "optimizer.json").write_text(json.dumps(steps, sort_keys=True))

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote; see `spice.learner.base.Learner`."""
        master = load_file(folder / "master.safetensors")
        if master.keys() != self._masters.keys():
            raise TrainingError(f"The saved weights in {folder} are of another model or other adapters.")
        moments = load_file(folder / "optimizer.safetensors")
        steps = json.loads((folder / "optimizer.json").read_text())
        with torch.no_grad():
            for name, parameter in self._masters.items():
                parameter.copy_(master[name])
                if name in steps:
                    self._optimizer.state[parameter] = {
                        "step": torch.tensor(steps[name], dtype=torch.float32),
                        "exp_avg": moments[f"{name}/exp_avg"].to(self._device),
                        "exp_avg_sq": moments[f"{name}/exp_avg_sq"].to(self._device),
                    }
        self._publish()

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

    def _logprobs(self, packed: Packed) -> tuple[torch.Tensor, torch.Tensor]:
        """The learner's and the engine's log-probabilities of the trained tokens, each of shape [K]."""
        steps = torch.arange(len(packed.tokens), device=self._device)
        ends = self._tensor(packed.ends)
        # Token i (column) is an ancestor of token j (row), or the token itself.
        mask = (steps[:, None] >= steps) & (steps[:, None] < ends)
        tokens = self._tensor(packed.tokens)
        hidden = self._base(
            input_ids=tokens[None],
            attention_mask=mask[None, None],
            position_ids=self._tensor(packed.positions)[None],
            use_cache=False,
        ).last_hidden_state[0]
        logprobs = token_logprobs(
            hidden[self._tensor(packed.sources)],
            self._head,
            tokens[self._tensor(packed.targets)],
            self._tensor(packed.temperatures),
            packed.allowed,
        )
        return logprobs, self._tensor(packed.logprobs)

    def _tensor(self, array: np.ndarray[Any, Any]) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)
