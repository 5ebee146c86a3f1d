"""The learner for models whose state one device cannot hold: DeepSpeed divides it among the ranks (ZeRO).

Same loss, same packing, same update as `spice.learner.torch_learner`. Three
things are different: every rank takes part in every micro-batch, because
gradients (stage 2) and weights (stage 3) travel with each; the norm of each
role's own gradient is not known, because no rank ever holds a whole gradient;
and weights are collected one by one as they are read, so all ranks must read them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore

from spice.config import LearnerConfig
from spice.errors import TrainingError
from spice.learner.base import Trajectory, UpdateStats
from spice.learner.batch import idle, microbatches
from spice.learner.flops import Flops, peak_flops
from spice.learner.lora import add_adapters, merged_weights
from spice.learner.loss import objective
from spice.learner.policy import Policy, tensors
from spice.learner.ranks import ALONE, Ranks
from spice.learner.shards import MASTER, MEAN, SQUARE, Piece, Shard, Shards
from spice.learner.tally import Tally
from spice.learner.trie import Packed

_BUCKET = 2**25  # elements that travel at once; DeepSpeed's own 5e8 would take gigabytes


class DeepSpeedLearner:
    """Policy-gradient updates with ZeRO stage 1, 2 or 3."""

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
            config: learning rate, clip, micro-batch size, stage and the like.
            budgets: longest output of each role, in tokens, the constant in the loss.
            ranks: who learns the same policy beside this process.
            clock: seconds.

        Raises:
            TrainingError: DeepSpeed is not installed.
        """
        deepspeed = _deepspeed(ranks)
        self._config, self._budgets, self._ranks, self._clock = config, budgets, ranks, clock
        self._adapted = add_adapters(model, config.lora) if config.lora.rank else model
        if config.gradient_checkpointing:
            self._adapted.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            self._adapted.train()  # transformers checkpoints in training mode only; there is no dropout
        policy = Policy(model)
        self._device = policy.device
        self._flops = Flops(
            model.config, {n: p.shape for n, p in model.named_parameters()}, adapters=config.lora.rank > 0
        )
        self._peak = config.peak_flops or peak_flops(self._device)
        self._named = {name: p for name, p in self._adapted.named_parameters() if p.requires_grad}
        self._shapes = {name: tuple(p.shape) for name, p in self._named.items()}
        ranks.copy_first([p.detach() for p in self._named.values()])
        exact = {name: p.detach().float().clone() for name, p in self._named.items()}
        optimizer = torch.optim.AdamW(
            self._named.values(), lr=0.0, betas=config.betas, weight_decay=config.weight_decay
        )
        self._engine, *_ = deepspeed.initialize(
            model=policy, optimizer=optimizer, config=_settings(config), dist_init_required=False
        )
        self._zero = self._engine.optimizer
        # ZeRO may have taken an empty step, to make the moments. It does not count, nor does bfloat16's rounding.
        self._set_steps(0)
        for group in self._zero.optimizer.param_groups:
            group["lr"] = config.learning_rate
        for name, value in exact.items():
            self._put(name, {MASTER: value})

    def update(self, trajectories: Sequence[Trajectory], steps: int) -> UpdateStats:
        """Take optimizer steps on one batch; see `spice.learner.base.Learner`."""
        if not trajectories:
            raise TrainingError("There is nothing to learn from: the batch has no trajectories.")
        began, ranks = self._clock(), self._ranks
        by_role = microbatches(trajectories, self._budgets, self._config.microbatch_tokens, ranks.rank, ranks.size)
        packs: list[Packed | None] = [packed for mine in by_role.values() for packed in mine]
        longest = torch.tensor(len(packs), device=self._device)
        ranks.most(longest)
        packs += [None] * (int(longest) - len(packs))
        tally = Tally(self._device)
        for step in range(steps):
            tally.begin_step()
            for place, packed in enumerate(packs):
                self._engine.set_gradient_accumulation_boundary(place == len(packs) - 1)
                self._differentiate(packed, tally, first=step == 0)
            self._engine.step()
            norm = float(self._engine.get_global_grad_norm())
            if not torch.isfinite(torch.tensor(norm)):
                raise TrainingError(
                    "The gradient is not finite. Lower learner.learning_rate, or set learner.precision=float32; "
                    "the last checkpoint is untouched."
                )
        return tally.stats(ranks, norm, {}, self._clock() - began, self._peak)

    def weights(self) -> Mapping[str, torch.Tensor]:
        """The policy's weights, adapters merged in; all ranks must read all of them, in their order."""
        if not self._config.lora.rank:
            return _Collected(self._named)
        import deepspeed

        everything = list(self._adapted.parameters()) if self._config.zero_stage == 3 else []
        with deepspeed.zero.GatheredParameters(everything):
            return {name: weight.clone() for name, weight in merged_weights(self._adapted).items()}

    def capture(self) -> Shard:
        """Copy this rank's part of weights and moments to the host; see `spice.learner.base.Learner`."""
        pieces = []
        for name in self._named:
            start, values = self._local(name)
            if values and values[MASTER].numel():
                host = {what: value.detach().reshape(-1).to("cpu", copy=True) for what, value in values.items()}
                pieces.append(Piece(name, start, host))
        return Shard(self._ranks.rank, self._steps(), self._shapes, tuple(pieces))

    def load(self, folder: Path) -> None:
        """Take up what was captured; see `spice.learner.base.Learner`."""
        shards = Shards(folder)
        shards.require(self._shapes)
        self._set_steps(shards.steps)
        for name in self._named:
            moments = {what: shards.read(name, what) for what in (MEAN, SQUARE)}
            found = {what: value for what, value in moments.items() if value is not None}
            self._put(name, {MASTER: shards.whole(name), **found})

    def _differentiate(self, packed: Packed | None, tally: Tally, *, first: bool) -> None:
        """Add one micro-batch's gradient to what is there; `None` keeps step with the others."""
        mine = packed or idle()
        old, gains, losses = (
            torch.from_numpy(array).to(self._device) for array in (mine.logprobs, mine.gains, mine.losses)
        )
        logprobs = self._engine(*tensors(mine, self._device))
        loss, clipped = objective(logprobs, old, gains, losses, self._config)
        self._engine.backward(loss * self._ranks.size)  # it takes the mean over the ranks, and we mean the sum
        if packed is None:
            tally.pad(len(mine.tokens))
            return
        tally.see(loss, clipped)
        tally.work(self._flops, packed)
        if first:
            tally.compare(packed, logprobs.detach(), old)

    def _local(self, name: str) -> tuple[int, dict[str, torch.Tensor]]:
        """This rank's stretch of a parameter: where it begins, and views of its float32 weight and moments."""
        parameter = self._named[name]
        if self._config.zero_stage == 3:
            from deepspeed.utils import safe_get_local_fp32_param, safe_get_local_optimizer_state

            master = safe_get_local_fp32_param(parameter).reshape(-1)
            start = master.numel() * self._ranks.rank
            length = max(0, min(master.numel(), parameter.ds_numel - start))
            values = {MASTER: master}
            if self._steps():
                values |= {what: safe_get_local_optimizer_state(parameter, what).reshape(-1) for what in (MEAN, SQUARE)}
            return start, {what: value[:length] for what, value in values.items()}
        mapping = parameter._hp_mapping
        if mapping is None:
            return 0, {}
        values = {MASTER: mapping.hp_fragment}
        address = mapping.hp_fragment_address
        for flat, state in self._zero.optimizer.state.items():
            if self._steps() and flat.data_ptr() <= mapping.hp_fragment.data_ptr() < _end(flat):
                values |= {
                    what: state[what].view(-1).narrow(0, address.start, address.numel) for what in (MEAN, SQUARE)
                }
        return mapping.lp_fragment_address.start, values

    def _put(self, name: str, wanted: Mapping[str, torch.Tensor]) -> None:
        """Set a parameter's float32 weight and moments, and what the model computes with."""
        parameter = self._named[name]
        with torch.no_grad():
            start, mine = self._local(name)
            for what, value in wanted.items():
                if what in mine:
                    mine[what].copy_(value.reshape(-1)[start : start + mine[what].numel()])
            weight = wanted[MASTER].reshape(-1)
            if self._config.zero_stage == 3:
                length = mine[MASTER].numel()
                parameter.ds_tensor.data.view(-1)[:length].copy_(weight[start : start + length])
            else:
                parameter.data.copy_(weight.view_as(parameter))

    def _steps(self) -> int:
        return int(max((float(state["step"]) for state in self._zero.optimizer.state.values()), default=0.0))

    def _set_steps(self, steps: int) -> None:
        """Say how many steps the moments have seen, and make moments where there are none."""
        for flat in self._flats():
            state = self._zero.optimizer.state[flat]
            state["step"] = torch.tensor(float(steps), dtype=torch.float32)
            for what in (MEAN, SQUARE):
                state.setdefault(what, torch.zeros_like(flat))

    def _flats(self) -> list[torch.Tensor]:
        """The flattened weights that the optimizer steps on. Stage 3 names them to it during a step only."""
        if self._config.zero_stage == 3:
            return list(self._zero.fp32_partitioned_groups_flat)
        return [flat for group in self._zero.optimizer.param_groups for flat in group["params"]]


class _Collected(Mapping[str, torch.Tensor]):
    """Whole float32 weights, each put together from all ranks' parts when it is read."""

    def __init__(self, named: Mapping[str, torch.nn.Parameter]) -> None:
        self._named = named

    def __getitem__(self, name: str) -> torch.Tensor:
        from deepspeed.utils import safe_get_full_fp32_param

        whole: torch.Tensor = safe_get_full_fp32_param(self._named[name])
        return whole.detach()

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)


def _deepspeed(ranks: Ranks) -> Any:
    """DeepSpeed, on the device that there is, among the ranks that there are."""
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    try:
        import deepspeed
    except ImportError as error:
        raise TrainingError(
            "learner.backend=deepspeed needs DeepSpeed: pip install 'spice-platform[deepspeed]', or set it to torch."
        ) from error
    # Else it compiles an extension at its first start on a CPU, and waits for ever where that was once interrupted.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    os.environ.setdefault("LOCAL_RANK", "0")
    if ranks.size == 1 and not dist.is_initialized():
        dist.init_process_group(
            "nccl" if torch.cuda.is_available() else "gloo", store=HashStore(), rank=0, world_size=1
        )
    deepspeed.init_distributed(dist_init_required=False, verbose=False)
    return deepspeed


def _settings(config: LearnerConfig) -> dict[str, Any]:
    """DeepSpeed's own configuration. What it does in float32 or bfloat16 follows `learner.precision`."""
    low = config.precision == "bfloat16"
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,  # where a batch ends is said by hand
        "gradient_clipping": config.max_grad_norm,
        "zero_optimization": {
            "stage": config.zero_stage,
            "overlap_comm": torch.cuda.is_available(),
            "reduce_bucket_size": _BUCKET,
            "allgather_bucket_size": _BUCKET,
        },
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": low},
        **({"data_types": {"grad_accum_dtype": "fp32"}, "communication_data_type": "fp32"} if low else {}),
        "steps_per_print": 2**31 - 1,
    }


def _end(flat: torch.Tensor) -> int:
    return flat.data_ptr() + flat.numel() * flat.element_size()
