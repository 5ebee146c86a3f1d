"""Settings of self-play, engine and learner."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from spice.config.section import Section

SpanKind = Literal["date", "year", "quantity", "number", "name", "term"]
RecipeName = Literal[
    "spice",
    "strong_challenger",
    "fixed_challenger",
    "no_corpus",
    "r_zero",
    "absolute_zero",
    "rlvr",
    "random_reward",
]
ChallengerReward = Literal["variance", "sample_variance", "threshold", "absolute_zero", "r_zero", "random"]
Estimator = Literal["drgrpo", "joint_mean", "group_mean", "reasoner_group_mean", "grpo", "reinforce_plus_plus"]


class StoreConfig(Section):
    """Where datasets, checkpoints, evidence and the ledger lie. Credentials are never part of the tree."""

    url: str = Field("./spice-store", description="a folder, or s3://bucket/prefix")
    endpoint: str | None = Field(None, description="host:port of the S3 service; none means Amazon's")
    region: str | None = Field(None, description="S3 region")
    secure: bool = Field(True, description="speak TLS to the S3 service")


class ModelConfig(Section):
    """The policy before training."""

    name: str = Field(
        "smollm2-135m-instruct",
        description="a built-in model (tiny, smollm2-135m-instruct), a folder, checkpoints/<digest>, or a hub id",
    )
    revision: str | None = Field(None, description="revision of a hub id; pin it for repeatable runs")
    dtype: Literal["float32", "bfloat16"] = Field("bfloat16", description="number format of generation and export")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where it computes; auto takes a GPU if there is one"
    )


class RecipeConfig(Section):
    """Which system is trained: SPICE or one that it is compared with (paper section 4)."""

    name: RecipeName = Field("spice", description="the recipe")
    batch_documents: int = Field(128, ge=1, description="documents per iteration, B")
    group_size: int = Field(8, ge=1, description="answers per task, G")
    attempts: int = Field(8, ge=1, description="Challenger attempts kept per document (paper: G)")
    max_attempts: int = Field(1024, ge=1, description="most Challenger attempts per document, N")
    reward: ChallengerReward | None = Field(
        None, description="the Challenger's reward for a valid task; none takes the recipe's own (spice: variance)"
    )
    invalid_reward: float | None = Field(
        None, description="the Challenger's reward for an invalid attempt; none takes the recipe's own (spice: -0.1)"
    )
    estimator: Estimator | None = Field(
        None, description="how rewards become advantages; none takes the recipe's own (spice: drgrpo)"
    )
    challenger_model: str | None = Field(
        None, description="strong_challenger: the model that poses the tasks, named like model.name"
    )
    question_set: str | None = Field(
        None, description="rlvr: a JSONL file of questions with their answers, like an evaluation suite"
    )
    votes: int = Field(10, ge=2, description="r_zero: answers per task, of which the most frequent counts as gold")
    vote_margin: float = Field(
        0.25,
        ge=0.0,
        le=0.5,
        description="r_zero: the Reasoner learns from tasks whose share of agreeing votes is this near 1/2",
    )
    challenger_phase: int = Field(5, ge=1, description="r_zero: iterations in a row in which the Challenger learns")
    reasoner_phase: int = Field(15, ge=1, description="r_zero: iterations in a row in which the Reasoner learns")
    references: int = Field(6, ge=1, description="absolute_zero: earlier programs shown to the Challenger")
    program_inputs: int = Field(
        10, ge=2, le=20, description="absolute_zero: inputs of an induction task, half of which are shown"
    )
    program_seconds: float = Field(2.0, gt=0.0, description="absolute_zero: processor time of one program")
    program_bytes: int = Field(256 * 2**20, ge=2**24, description="absolute_zero: memory of one program, in bytes")
    sources: tuple[str, ...] = Field(
        (), description="train on documents whose file matches one of these patterns (docs/*.md); none takes all"
    )
    sampling: Literal["uniform", "exhaustive", "frontier"] = Field(
        "uniform",
        description="uniform: each iteration draws anew, as in the paper; exhaustive: no document twice before all "
        "were drawn once; frontier: documents with which the Challenger earned most lately are drawn more often",
    )
    mixture: tuple[tuple[str, Annotated[float, Field(gt=0.0)]], ...] = Field(
        (),
        description='weights of sources, such as [["docs/*", 3], ["mail/*", 1]]; each is drawn exhaustively, and what '
        "matches none is not drawn",
    )
    document_budget: int = Field(0, ge=0, description="train on so many documents only, chosen by hash; 0 takes all")
    formats: tuple[Literal["multiple_choice", "free_form"], ...] = Field(
        ("multiple_choice", "free_form"), min_length=1, description="task formats the selector may choose from"
    )
    template: Literal["full", "short", "ladder"] = Field(
        "full",
        description="full: the paper's JSON schema; short: question and answer only, for small models; "
        "ladder: worked computations in one token per symbol, for the arena",
    )
    few_shot: int = Field(0, ge=0, le=6, description="worked examples given to each role as earlier turns")
    span_answers: bool = Field(False, description="the answer must be one of the document's spans, by grammar")
    answer_kinds: tuple[SpanKind, ...] = Field(
        ("name", "term", "date", "year", "quantity", "number"),
        min_length=1,
        description="kinds of spans that span_answers may ask for",
    )
    question_forms: tuple[Literal["wh", "blank"], ...] = Field(
        ("wh",),
        min_length=1,
        description="what span_answers lets the Challenger write: a question in its own words, or a sentence of the "
        "document with the answer left out",
    )
    option_orders: int = Field(
        1, ge=1, description="orders in which the options are shown to the group; 1 shows all the same"
    )
    distractors: Literal["challenger", "corpus"] = Field(
        "challenger", description="who writes the wrong options: the Challenger, or code from other documents"
    )
    require_grounded: bool = Field(
        False, description="validity also asks that the answer or its evidence stands in the document"
    )
    require_standalone: bool = Field(
        False, description="validity also asks that the question names its subject and does not refer to the text"
    )
    require_unleaked: bool = Field(
        False, description="validity also asks that the question does not contain the answer"
    )
    share_answers: bool = Field(
        False, description="tasks of an iteration that are equal in every word share one group of answers"
    )
    temperature: float = Field(1.0, gt=0.0, description="sampling temperature of both roles")
    challenger_tokens: int = Field(4096, ge=8, description="longest Challenger output, in tokens")
    reasoner_tokens: int = Field(4096, ge=4, description="longest Reasoner output, in tokens")
    updates_per_iteration: int = Field(
        1, ge=1, description="optimizer steps per iteration; above 1 the PPO clip is active"
    )
    verify_seconds: float = Field(
        5.0, gt=0.0, description="processor time for comparing two expressions; past it the answer is wrong"
    )
    audit_tasks: int = Field(
        8, ge=0, description="tasks per iteration that the policy answers with the document, for the gold audit"
    )
    choices_only_tasks: int = Field(
        4, ge=0, description="tasks per iteration that the policy answers from the options alone, without the question"
    )


class RolloutConfig(Section):
    """The engine that generates text."""

    engine: Literal["transformers", "vllm", "vllm_server"] = Field(
        "transformers",
        description="transformers; vllm: in this process, needs the extra of that name; vllm_server: in another one",
    )
    batch_tokens: int = Field(
        65536, ge=256, description="transformers: most tokens (prompts and room for answers) in flight at once"
    )
    overlap: bool = Field(
        False,
        description="answer a task as soon as it is known to count, while other attempts are under way; gains where "
        "one role alone does not fill the engine, so not on a CPU",
    )
    max_sequences: int = Field(256, ge=1, description="vllm: most sequences in flight at once")
    max_length: int | None = Field(
        None, ge=16, description="vllm: most tokens of a prompt and its answer; none takes the model's context"
    )
    memory_share: float = Field(
        0.5, gt=0.0, lt=1.0, description="vllm: share of a GPU's memory for its weights and its cache"
    )
    server_url: str = Field(
        "http://127.0.0.1:8001", description="vllm_server: where `python -m spice.rollout.vllm_serve` answers"
    )
    server_transfer: Literal["nccl", "file"] = Field(
        "nccl", description="vllm_server: how weights get there; file asks for a folder that both sides see"
    )
    server_gpus: int = Field(1, ge=1, description="vllm_server: GPUs of the server, for nccl")
    learner_address: str = Field("127.0.0.1", description="vllm_server: this machine as the server sees it, for nccl")
    learner_port: int = Field(29600, ge=1, le=65535, description="vllm_server: a free port of this machine, for nccl")
    cache_bytes: int | None = Field(
        None, ge=2**24, description="vllm: bytes for keys and values; none takes memory_share, on a CPU 1 GiB"
    )


class LoraConfig(Section):
    """Low-rank adapters instead of full weights."""

    rank: int = Field(0, ge=0, description="rank of the adapters; 0 trains all weights")
    alpha: float = Field(16.0, gt=0.0, description="scale of the adapters")


class LearnerConfig(Section):
    """The policy-gradient update."""

    backend: Literal["torch", "deepspeed"] = Field(
        "torch", description="torch: the whole state on every rank; deepspeed: ZeRO divides it among them"
    )
    zero_stage: Literal[1, 2, 3] = Field(
        2, description="deepspeed: 1 divides optimizer states, 2 gradients as well, 3 weights as well"
    )
    learning_rate: float = Field(1e-6, gt=0.0, description="constant AdamW learning rate")
    betas: tuple[float, float] = Field((0.9, 0.95), description="AdamW betas")
    weight_decay: float = Field(0.0, ge=0.0, description="AdamW weight decay")
    max_grad_norm: float = Field(1.0, gt=0.0, description="gradient clip")
    clip: float = Field(0.2, gt=0.0, description="PPO ratio clip")
    importance_cap: float | None = Field(
        None,
        gt=0.0,
        description="truncated importance sampling in place of the PPO clip: weights of tokens are cut off here; none "
        "takes the clip, and 2.0 with training.off_policy_steps",
    )
    microbatch_tokens: int = Field(16384, ge=64, description="most tokens in one forward pass")
    precision: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="number format of forward and backward passes; master weights are float32 always"
    )
    gradient_checkpointing: bool = Field(True, description="recompute activations to save memory")
    peak_flops: float | None = Field(
        None, gt=0.0, description="operations per second that a device could do, for MFU; none takes that of known GPUs"
    )
    lora: LoraConfig = LoraConfig()


class TrainingConfig(Section):
    """The loop."""

    iterations: int = Field(640, ge=1, description="iterations, T")
    checkpoint_every: int = Field(64, ge=1, description="iterations between checkpoints")
    off_policy_steps: Literal[0, 1] = Field(
        0, description="1 plays the next iteration while this one is learned from, with weights one update old"
    )
    keep_last: int = Field(1, ge=1, description="states to resume from that are kept, the newest ones")
    keep_every: int = Field(
        0, ge=0, description="states to resume from are kept for good after every so many iterations; 0 keeps none"
    )
    ranks: int = Field(
        1, ge=1, description="processes on this machine that train together, one for each GPU; may change at a resume"
    )
    hang_seconds: float = Field(
        45.0, gt=0.0, description="a rank that does nothing for this long, and waits for no other, ends the run"
    )
    threads: int = Field(
        0, ge=0, description="CPU threads for torch; 0 takes all cores (fix it for repeatable weights)"
    )
