"""The whole configuration: one frozen, typed tree.

Every field has its default and a line that explains it; `spice config show`
prints the tree with the place each value came from. Nothing here reads files
or the environment: that is `spice.settings`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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
AlarmAction = Literal["warn", "pause", "stop"]
Estimator = Literal["drgrpo", "joint_mean", "group_mean", "reasoner_group_mean", "grpo", "reinforce_plus_plus"]


class Section(BaseModel):
    """A frozen group of fields that refuses unknown ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


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


class CorpusConfig(Section):
    """How documents become a dataset version."""

    segment_tokens: int = Field(5992, ge=16, description="longest segment, in tokens of the model")
    min_segment_tokens: int = Field(24, ge=1, description="shorter segments are dropped and counted")
    held_out_share: float = Field(
        0.2, ge=0.0, lt=1.0, description="share of documents that training never sees, by hash"
    )
    near_duplicate_threshold: float = Field(
        0.8, gt=0.0, le=1.0, description="Jaccard similarity from which a document is a near duplicate"
    )
    max_file_bytes: int = Field(256 * 2**20, ge=1, description="larger files are skipped and counted")
    max_line_chars: int = Field(200_000, ge=1000, description="a longer line is broken before it is processed")
    text_field: str = Field("text", min_length=1, description="the field of JSONL and Parquet rows that holds the text")
    title_field: str = Field(
        "title", min_length=1, description="the field of JSONL and Parquet rows that holds a title"
    )
    pdf_pages: int = Field(5000, ge=1, description="PDF files with more pages are skipped and counted")
    pdf_seconds: float = Field(120.0, gt=0.0, description="a PDF file that takes longer to read is skipped and counted")
    screen_injections: bool = Field(True, description="quarantine documents with text that instructs a model")
    follow_symlinks: bool = Field(False, description="follow symbolic links that stay inside the given folder")


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

    engine: Literal["transformers"] = Field("transformers", description="which engine")
    batch_tokens: int = Field(65536, ge=256, description="most tokens (prompts and room for answers) in flight at once")


class LoraConfig(Section):
    """Low-rank adapters instead of full weights."""

    rank: int = Field(0, ge=0, description="rank of the adapters; 0 trains all weights")
    alpha: float = Field(16.0, gt=0.0, description="scale of the adapters")


class LearnerConfig(Section):
    """The policy-gradient update."""

    backend: Literal["torch"] = Field("torch", description="which learner")
    learning_rate: float = Field(1e-6, gt=0.0, description="constant AdamW learning rate")
    betas: tuple[float, float] = Field((0.9, 0.95), description="AdamW betas")
    weight_decay: float = Field(0.0, ge=0.0, description="AdamW weight decay")
    max_grad_norm: float = Field(1.0, gt=0.0, description="gradient clip")
    clip: float = Field(0.2, gt=0.0, description="PPO ratio clip")
    microbatch_tokens: int = Field(16384, ge=64, description="most tokens in one forward pass")
    precision: Literal["float32", "bfloat16"] = Field(
        "bfloat16", description="number format of forward and backward passes; master weights are float32 always"
    )
    gradient_checkpointing: bool = Field(True, description="recompute activations to save memory")
    lora: LoraConfig = LoraConfig()


class TrainingConfig(Section):
    """The loop."""

    iterations: int = Field(640, ge=1, description="iterations, T")
    checkpoint_every: int = Field(64, ge=1, description="iterations between checkpoints")
    threads: int = Field(
        0, ge=0, description="CPU threads for torch; 0 takes all cores (fix it for repeatable weights)"
    )


class HealthActions(Section):
    """What happens when an alarm is raised: warn; pause (save, end, wait for --resume); stop (save, end for good)."""

    valid_rate: AlarmAction = Field("warn", description="most of the Challenger's attempts are lost")
    death_spiral: AlarmAction = Field("warn", description="the Challenger unlearns the form of a task")
    entropy_collapse: AlarmAction = Field("warn", description="a role always says the same")
    degenerate_groups: AlarmAction = Field("warn", description="nearly all tasks are solved always or never")
    label_noise: AlarmAction = Field("warn", description="gold answers are wrong, says the audit or an oracle")
    choices_only: AlarmAction = Field("warn", description="options give the answer away without the question")
    letters: AlarmAction = Field("warn", description="one place among the options is preferred")
    leak: AlarmAction = Field("warn", description="questions contain their answer")
    copying: AlarmAction = Field("warn", description="questions are copied from the document")
    repetition: AlarmAction = Field("warn", description="questions repeat earlier ones, or each other")
    one_kind: AlarmAction = Field("warn", description="one answer or one kind of task is more than half of all")
    length: AlarmAction = Field("warn", description="outputs grow, shrink, or are cut off")
    unanswered: AlarmAction = Field("warn", description="answers have no box")
    mismatch: AlarmAction = Field("warn", description="engine and learner disagree about the policy")
    domination: AlarmAction = Field("warn", description="one role has nearly all of the update")


class HealthConfig(Section):
    """When a signal of training raises an alarm. What may be released is the gate's business."""

    min_tasks: int = Field(8, ge=1, description="with fewer valid tasks in an iteration, their shares raise no alarm")
    window: int = Field(5, ge=1, description="iterations that make the start of a run, and its recent past")
    valid_rate: float = Field(0.2, description="alarm below this share of valid attempts")
    valid_rate_drop: float = Field(0.2, description="alarm at a greater fall while the Challenger's entropy rises")
    entropy_share: float = Field(0.25, description="alarm below this share of the entropy at the start")
    zero_variance_share: float = Field(0.8, description="alarm above this share of tasks solved always or never")
    audit_agree: float = Field(
        0.5, description="alarm below this share of audited tasks whose gold answer is confirmed"
    )
    audit_drop: float = Field(0.2, description="alarm at a greater fall of that share since the start")
    label_accuracy: float = Field(
        0.8, description="alarm below this share of true gold answers, where there is an oracle"
    )
    choices_p: float = Field(1e-3, description="alarm when options alone give the answer beyond chance, at this p")
    leak_share: float = Field(0.2, description="alarm above this share of questions that contain their answer")
    near_duplicate_share: float = Field(0.5, description="alarm above this share of questions like earlier ones")
    self_bleu: float = Field(0.8, description="alarm above this mean likeness of an iteration's questions")
    dominant_share: float = Field(0.5, description="alarm when one answer or kind of task has a greater share")
    letter_p: float = Field(1e-3, description="alarm when places among the options are uneven beyond chance, at this p")
    truncated_share: float = Field(0.1, description="alarm above this share of a role's outputs cut off")
    unanswered_share: float = Field(0.5, description="alarm above this share of answers without a box")
    length_factor: float = Field(
        3.0, gt=1.0, description="alarm when outputs are this much longer or shorter than at the start"
    )
    copied_run: float = Field(12.0, description="alarm above this mean longest run of copied words")
    copied_coverage: float = Field(
        0.9, description="alarm above this mean share of a question's words in copied runs of three or more"
    )
    compression_factor: float = Field(
        1.5, description="alarm when questions compress this much better than at the start"
    )
    importance_ess: float = Field(0.8, description="alarm below this effective sample size, as a share of the tokens")
    logprob_gap: float = Field(0.05, description="alarm above this mean difference of engine and learner, in nats")
    role_share: float = Field(0.95, description="alarm when one role has a greater share of the update's weight")
    actions: HealthActions = HealthActions()


class EvaluationConfig(Section):
    """What candidate and base are measured on."""

    cloze_items: int = Field(280, ge=0, description="multiple-choice items built from held-out documents")
    reasoning_items: int = Field(120, ge=0, description="procedural reasoning items with exact oracles")
    reasoning_tasks: tuple[str, ...] = Field(
        ("basic_arithmetic", "number_sorting"), description="reasoning-gym datasets"
    )
    suites: tuple[str, ...] = Field((), description="user suites, JSONL files")
    max_tokens: int = Field(1024, ge=4, description="longest answer, in tokens")
    coevolution_documents: int = Field(
        128, ge=0, description="held-out documents for the co-evolution figure; 0 leaves it out"
    )
    coevolution_checkpoints: int = Field(
        5, ge=2, description="checkpoints that meet each other there, evenly spread over the run"
    )
    bootstrap_samples: int = Field(10_000, ge=100, description="resamples of every bootstrap interval")
    seed: int = Field(20251024, ge=0, description="seed of item building; not the training seed")


class PromotionConfig(Section):
    """What a checkpoint must show, and who must agree, before it is live."""

    policy: str | None = Field(None, description="a Rego file instead of the built-in gate policy")
    policies: tuple[str, ...] = Field((), description="further Rego files, each of which must pass, too")
    primary_suite: str = Field("cloze", description="the suite on which improvement is required")
    min_improvement: float = Field(0.0, description="the improvement's lower bound must be above this")
    regression_margin: float = Field(
        0.05, ge=0.0, description="no other suite's difference may have a lower bound below minus this"
    )
    max_contamination: float = Field(
        0.0, ge=0.0, le=1.0, description="largest share of evaluation items found in training text"
    )
    min_label_accuracy: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="share of gold answers in training that audit or oracle must confirm; 0 asks none",
    )
    approvals: int = Field(1, ge=0, description="people who must approve, none of them the requester")
    approvers: tuple[str, ...] = Field((), description="only these people's approvals count; none: all approvers'")
    approvals_from: dict[str, Annotated[int, Field(ge=1)]] = Field(
        {}, description="approvals that must come from a group, such as {legal: 1}"
    )
    approval_hours: float = Field(168.0, gt=0.0, description="an approval counts for this long")


class ConsoleConfig(Section):
    """The web console: who may log in how, and how often anybody may act."""

    url: str | None = Field(None, description="the address people use, such as https://spice.example.org")
    key: str = Field("console", description="the key with the role delegate that signs for people who log in")
    proxies: tuple[str, ...] = Field((), description="addresses or networks of gateways whose user header is believed")
    user_header: str = Field(
        "kubeflow-userid", min_length=1, description="the header in which a gateway names the user"
    )
    roles: tuple[str, ...] = Field(
        (), description="what people without a key may do: identity=role+role, such as anna@example.org=approver"
    )
    session_hours: float = Field(8.0, gt=0.0, description="a login ends after this long")
    actions_per_minute: int = Field(10, ge=1, description="most actions of one person in a minute")


class ServingConfig(Section):
    """The gateway. Credentials are never part of the tree: SPICE_UPSTREAM_KEY is read from the environment."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    engine: Literal["transformers", "upstream"] = Field(
        "transformers", description="transformers: embedded; upstream: servers such as vLLM that speak the OpenAI API"
    )
    upstreams: tuple[str, ...] = Field(
        (), description="base URLs of upstream servers; each serves one release under its reference as model name"
    )
    model_name: str = Field("spice", min_length=1, description="the model name that stands for whatever is live")
    poll_seconds: float = Field(0.2, gt=0.0, le=0.25, description="how often switch and ledger are read")
    blind_seconds: float = Field(
        3.0, ge=0.5, description="stop answering when the store could not be read for this long"
    )
    load_seconds: float = Field(
        600.0, gt=0.0, description="longest use of the release before while the live one will not load"
    )
    drain_seconds: float = Field(
        300.0, ge=0.0, description="time that requests of a replaced release have to end before they are cut"
    )
    keep_warm: int = Field(1, ge=0, description="earlier good releases kept loaded, for an instant way back")
    min_free_bytes: int = Field(
        2**30, ge=0, description="earlier releases are kept loaded only while this much memory stays free"
    )
    canary: str | None = Field(
        None, description="checkpoints/<digest> of a second release that gets a share of the requests"
    )
    canary_share: float = Field(0.0, ge=0.0, le=1.0, description="share of requests that the canary answers")
    require_keys: bool = Field(True, description="ask for an API key; without, only loopback addresses are served")
    public_metrics: bool = Field(False, description="show /metrics without an API key")
    max_request_bytes: int = Field(2**20, ge=1024, description="longest request body")
    body_seconds: float = Field(30.0, gt=0.0, description="longest time for a request's body to arrive")
    max_concurrent: int = Field(64, ge=1, description="requests answered at once")
    max_queue: int = Field(256, ge=0, description="requests that may wait for their turn; more are refused")
    queue_seconds: float = Field(30.0, gt=0.0, description="longest wait for a turn")
    request_seconds: float = Field(300.0, gt=0.0, description="longest time for one answer, from its turn on")
    max_tokens: int = Field(4096, ge=1, description="longest answer, in tokens; also where a request names no length")
    max_choices: int = Field(8, ge=1, description="most answers to one request, prompts times n")
    batch_sequences: int = Field(32, ge=1, description="answers that the embedded engine decodes together")


class KubeflowConfig(Section):
    """Where pipelines are submitted, and where a pipeline trains. Nothing here changes what is learned."""

    host: str | None = Field(
        None, description="address of the Pipelines API; none asks KF_PIPELINES_ENDPOINT, then the cluster's own"
    )
    namespace: str | None = Field(None, description="namespace of the runs, on an installation for several users")
    experiment: str = Field("spice", min_length=1, description="experiment that submitted runs are listed under")
    launcher: Literal["pod", "trainjob"] = Field(
        "pod", description="where the train component trains: in its own pod, or in a TrainJob that it creates"
    )
    runtime: str = Field("spice-training", description="ClusterTrainingRuntime of the TrainJob")
    image: str | None = Field(None, description="image of the TrainJob; the runtime's own if none")
    service_account: str | None = Field(
        None, description="service account of the TrainJob's pod; the runtime's if none"
    )
    queue: str | None = Field(None, description="Kueue's LocalQueue for the TrainJob; none starts it at once")
    gpus: int = Field(1, ge=0, description="GPUs of the TrainJob's pod")
    restarts: int = Field(3, ge=0, description="how often a TrainJob that the cluster interrupted is created again")


class DriftConfig(Section):
    """How documents, tasks, traffic and pass rates are watched for change."""

    false_alarm_rate: float = Field(
        0.01,
        gt=0.0,
        le=0.2,
        description="probability that a check, or a run's pass rate, shows drift where there is none",
    )
    permutations: int = Field(999, ge=99, le=100_000, description="random divisions that calibrate each threshold")
    max_units: int = Field(
        400, ge=10, le=5000, description="most documents, tasks or requests that are drawn from each side"
    )
    window: int = Field(10, ge=1, description="iterations at the start and the end of a run whose tasks are compared")
    change_size: float = Field(
        1.0, gt=0.0, description="change of the pass rate that is found fastest, in standard deviations"
    )
    seed: int = Field(20251024, ge=0, description="seed of draws and permutations; not the training seed")


class MonitoringConfig(Section):
    """What `spice exporter` reads, and how often."""

    refresh_seconds: float = Field(15.0, gt=0.0, description="between two looks at what is known to change")
    discovery_seconds: float = Field(
        60.0, gt=0.0, description="between two listings that find new runs, evaluations and drift reports"
    )
    verify_seconds: float = Field(
        3600.0, gt=0.0, description="between two verifications of the whole ledger; new entries are verified at once"
    )
    run_hours: float = Field(24.0, gt=0.0, description="a run without new iterations for this long is not exported")
    window: int = Field(5, ge=1, description="iterations that make the start of a run, and its recent past")


class Config(Section):
    """Everything a run depends on, besides the documents and the store's credentials."""

    seed: int = Field(0, ge=0, description="fixes every random draw of the run")
    store: StoreConfig = StoreConfig()
    model: ModelConfig = ModelConfig()
    corpus: CorpusConfig = CorpusConfig()
    recipe: RecipeConfig = RecipeConfig()
    rollout: RolloutConfig = RolloutConfig()
    learner: LearnerConfig = LearnerConfig()
    training: TrainingConfig = TrainingConfig()
    health: HealthConfig = HealthConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    promotion: PromotionConfig = PromotionConfig()
    serving: ServingConfig = ServingConfig()
    console: ConsoleConfig = ConsoleConfig()
    kubeflow: KubeflowConfig = KubeflowConfig()
    drift: DriftConfig = DriftConfig()
    monitoring: MonitoringConfig = MonitoringConfig()
