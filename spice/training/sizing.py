"""How much memory a run takes on each GPU, and how many tokens an iteration has: what `spice plan` prints.

Bytes per weight follow what the learners hold (mixed precision with AdamW: Rajbhandari et al. 2020, section 3.1; its
figure 1 for the ZeRO stages). Activations follow Korthikanti et al. 2022, section 4, without tensor parallelism and
without dropout, for a gated MLP. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spice.config import Config
from spice.models.shapes import Shape

GIB = 2**30
_CONTEXT = int(1.5 * GIB)  # CUDA context, kernels and NCCL's buffers
_FRAGMENTED = 0.05  # of what the allocator hands out
_BUCKET = 2**25  # elements that travel at once, in float32: spice.learner.ranks, and our DeepSpeed settings
_LOGIT_ROWS, _KEPT_LOGITS = 512, 2**26  # spice.learner.loss
_TYPICAL = 0.25  # of the longest output; a guess that `spice plan` names as one


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU.

    Attributes:
        weights: what the model computes with, and its float32 master copy.
        gradients: as they are added up.
        optimizer: AdamW's two moments.
        buffers: gradients on their way between GPUs.
        activations: of the largest micro-batch.
        engine_weights: the engine's own copy of the model.
        cache: keys and values.
        overhead: CUDA, and memory that is lost between tensors.
    """

    weights: int
    gradients: int
    optimizer: int
    buffers: int
    activations: int
    engine_weights: int
    cache: int
    overhead: int

    @property
    def rollout(self) -> int:
        """In use while text is generated: the learner's state stays where it is."""
        return self.weights + self.optimizer + self.engine_weights + self.cache + self.overhead

    def update(self, *, sleeps: bool) -> int:
        """In use during an update; an engine that sleeps has given its memory back."""
        engine = 0 if sleeps else self.engine_weights + self.cache
        return self.weights + self.gradients + self.optimizer + self.buffers + self.activations + engine + self.overhead


@dataclass(frozen=True)
class Tokens:
    """Tokens of one iteration, over all GPUs.

    Attributes:
        prompts: tokens of distinct prompts.
        longest: generated if every output were as long as allowed and every attempt valid.
        typical: generated if outputs were a quarter of that.
        trained: tokens of `longest` that the update learns from.
        cache_room: tokens that the engines of all GPUs can hold at once.
    """

    prompts: int
    longest: int
    typical: int
    trained: int
    cache_room: int


@dataclass(frozen=True)
class Plan:
    """What a run needs, and whether it has it.

    Attributes:
        parameters: weights of the model.
        gpus: how many it runs on.
        gpu_bytes: memory of each.
        memory: what it needs on each.
        peak: the larger of rollout and update, in bytes.
        phase: which of them it is.
        tokens: of one iteration.
        changes: where it does not fit, settings with which it would, the gentlest first.
    """

    parameters: int
    gpus: int
    gpu_bytes: int
    memory: Memory
    peak: int
    phase: str
    tokens: Tokens
    changes: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether the peak is within the GPU."""
        return self.peak <= self.gpu_bytes


def plan(config: Config, shape: Shape, gpus: int, gpu_bytes: int) -> Plan:
    """Add up what a run needs.

    Args:
        config: of the run; `training.ranks` is taken to be `gpus`.
        shape: of its model.
        gpus: GPUs, each with a rank of the learner and an engine of its own.
        gpu_bytes: memory of one.
    """
    found = _without_advice(config, shape, gpus, gpu_bytes)
    return found if found.fits else _advised(found, config, shape)


def memory(config: Config, shape: Shape, gpus: int, gpu_bytes: int) -> Memory:
    """Bytes on each GPU; see `plan`.

    The plain learner holds all of it on every GPU: bfloat16 weights and float32
    masters (6 bytes a weight), the gradients of both roles side by side in
    float32 (8), moments (8). DeepSpeed divides masters and moments by the number
    of GPUs from stage 1 on, float32 gradients from stage 2 on, bfloat16 weights
    at stage 3. In float32 there is no second copy of the weights in the plain
    learner. With adapters only they have masters, gradients and moments.
    """
    learner, size = config.learner, shape.parameters
    low = 2 if learner.precision == "bfloat16" else 4
    trained = shape.adapters(learner.lora.rank) if learner.lora.rank else size
    zero = learner.backend == "deepspeed"
    divided: Callable[[int], int] = (lambda n: -(-n // gpus)) if zero else (lambda n: n)
    stage = learner.zero_stage if zero else 0
    computing = low * (size + (trained if learner.lora.rank else 0))
    masters = 4 * trained if low == 2 or zero else 0
    weights = (divided(computing) if stage == 3 else computing) + divided(masters)
    gradients = {0: 8 * trained, 1: 4 * trained}.get(stage, divided(4 * trained))
    moments = divided(8 * trained)
    buffers = 2 * 4 * min(_BUCKET, trained) if gpus > 1 else 0
    held = 2 * size if config.model.dtype == "bfloat16" else 4 * size
    cache_token = shape.cache_bytes * (1 if config.model.dtype == "bfloat16" else 2)
    cache = cache_token * config.rollout.batch_tokens
    if config.rollout.engine == "vllm":
        room = config.rollout.cache_bytes
        cache = room if room is not None else max(0, int(config.rollout.memory_share * gpu_bytes) - held)
    activations = activation_bytes(shape, learner.microbatch_tokens, low, checkpointing=learner.gradient_checkpointing)
    allocated = weights + gradients + moments + buffers + activations
    return Memory(
        weights, gradients, moments, buffers, activations, held, cache, _CONTEXT + int(_FRAGMENTED * allocated)
    )


def activation_bytes(shape: Shape, tokens: int, low: int, *, checkpointing: bool) -> int:
    """Bytes that the backward pass needs of one micro-batch, and that it makes on the way.

    A layer keeps per token: its input and its normed input twice (4 hidden), queries, keys, values and attention's
    output (2 query + 2 key), gate, up and their product (3 inner). With checkpointing one layer has these at a time,
    and of the others only the input is kept. Beside them stand 512 rows of logits, in float32, with their gradient and
    their mask, and the mask of the tree; and all logits, where they are so few that they are kept.

    Args:
        shape: of the model.
        tokens: of the micro-batch.
        low: bytes of a number.
        checkpointing: whether layers are computed again.
    """
    query, key = shape.heads * shape.head_size, shape.key_heads * shape.head_size
    layer = low * tokens * (4 * shape.hidden + 2 * query + 2 * key + 3 * shape.inner)
    kept = low * tokens * shape.hidden * shape.layers + layer if checkpointing else layer * shape.layers
    pieces, whole = min(tokens, _LOGIT_ROWS) * shape.vocabulary, tokens * shape.vocabulary
    logits = 4 * (3 * pieces + (whole if whole <= _KEPT_LOGITS else 0))
    return kept + logits


def tokens(config: Config, shape: Shape, gpus: int, cache: int) -> Tokens:
    """Tokens of an iteration: B documents, their attempts, and G answers to each valid one (paper section 3)."""
    recipe = config.recipe
    attempts = recipe.batch_documents * recipe.attempts
    posed = attempts * recipe.challenger_tokens
    answered = attempts * recipe.group_size * recipe.reasoner_tokens
    trained = posed + recipe.batch_documents * recipe.group_size * recipe.reasoner_tokens
    prompts = recipe.batch_documents * config.corpus.segment_tokens
    per_token = shape.cache_bytes * (1 if config.model.dtype == "bfloat16" else 2)
    longest = posed + answered
    return Tokens(prompts, longest, int(_TYPICAL * longest), trained, gpus * (cache // per_token))


def _without_advice(config: Config, shape: Shape, gpus: int, gpu_bytes: int) -> Plan:
    needed = memory(config, shape, gpus, gpu_bytes)
    update = needed.update(sleeps=config.rollout.engine == "vllm")
    peak, phase = max((needed.rollout, "rollout"), (update, "update"))
    return Plan(shape.parameters, gpus, gpu_bytes, needed, peak, phase, tokens(config, shape, gpus, needed.cache), ())


def _advised(found: Plan, config: Config, shape: Shape) -> Plan:
    """The plan with the changes that would make it fit, each tried alone and then together, in this order."""
    steps: list[dict[str, Any]] = [
        {"learner.microbatch_tokens": max(256, config.learner.microbatch_tokens // 4)},
        {"rollout.engine": "vllm", "rollout.memory_share": 0.35},
        {"learner.backend": "deepspeed", "learner.zero_stage": 2},
        {"learner.backend": "deepspeed", "learner.zero_stage": 3},
        {"learner.lora.rank": 32},
    ]
    together: dict[str, Any] = {}
    changes: list[str] = []
    for step in steps:
        together |= step
        for tried in (step, together):
            if _without_advice(_changed(config, tried), shape, found.gpus, found.gpu_bytes).fits:
                changes.append(" ".join(f"--set {key}={value}" for key, value in tried.items()))
                break
        if len(changes) == 2:
            break
    more = next((n for n in _doubled(found.gpus) if _without_advice(config, shape, n, found.gpu_bytes).fits), None)
    if more is not None:
        changes.append(f"--gpus {more}")
    return Plan(
        found.parameters,
        found.gpus,
        found.gpu_bytes,
        found.memory,
        found.peak,
        found.phase,
        found.tokens,
        tuple(changes),
    )


def _changed(config: Config, settings: dict[str, Any]) -> Config:
    tree = config.model_dump()
    for key, value in settings.items():
        *sections, name = key.split(".")
        place = tree
        for section in sections:
            place = place[section]
        place[name] = value
    return Config.model_validate(tree)


def _doubled(gpus: int) -> Sequence[int]:
    return [gpus * 2**n for n in range(1, 5)]
