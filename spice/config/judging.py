"""Settings of health, evaluation and promotion."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from spice.config.section import Section

AlarmAction = Literal["warn", "pause", "stop"]


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

    min_tasks: int = Field(8, ge=1, description="with fewer valid tasks in a window, their shares raise no alarm")
    window: int = Field(5, ge=1, description="iterations that make the start of a run, and its recent past")
    valid_rate: float = Field(0.2, description="alarm below this share of valid attempts")
    valid_rate_drop: float = Field(0.2, description="alarm at a greater fall while the Challenger's entropy rises")
    entropy_share: float = Field(
        0.1, description="alarm when an output has less than this share of the entropy that it had at the start"
    )
    zero_variance_share: float = Field(0.8, description="alarm above this share of tasks solved always or never")
    audit_agree: float = Field(
        0.7, description="alarm below this share of audited tasks whose gold answer is confirmed"
    )
    audit_drop: float = Field(0.2, description="alarm at a greater fall of that share since the start")
    label_accuracy: float = Field(
        0.8, description="alarm below this share of true gold answers, where there is an oracle"
    )
    choices_p: float = Field(1e-3, description="alarm when options alone give the answer beyond chance, at this p")
    leak_share: float = Field(0.2, description="alarm above this share of questions that contain their answer")
    near_duplicate_share: float = Field(0.5, description="alarm above this share of questions like earlier ones")
    self_bleu: float = Field(0.5, description="alarm above this mean likeness of an iteration's questions")
    dominant_share: float = Field(0.5, description="alarm when one answer or kind of task has a greater share")
    letter_p: float = Field(1e-3, description="alarm when places among the options are uneven beyond chance, at this p")
    letter_share: float = Field(0.4, description="and one of them has a greater share than this")
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
        2.0,
        gt=1.0,
        description="alarm when questions, compressed together, have so many times fewer bytes than at first",
    )
    importance_ess: float = Field(0.8, description="alarm below this effective sample size, as a share of the tokens")
    logprob_gap: float = Field(0.05, description="alarm above this mean difference of engine and learner, in nats")
    role_share: float = Field(0.95, description="alarm when one role has a greater share of the update's weight")
    actions: HealthActions = HealthActions()


class JudgeConfig(Section):
    """An independent model that says whether two answers are equivalent. Its key stands in SPICE_JUDGE_API_KEY."""

    url: str | None = Field(
        None, description="base address of an OpenAI-compatible API, such as http://judge:8000/v1; none: rules alone"
    )
    model: str = Field("", description="the judge's name in that API")
    lineage: tuple[str, ...] = Field(
        (), description="the judge's model and all it was made from, hub ids or checkpoints/<digest>; must be stated"
    )
    timeout_s: float = Field(60.0, gt=0.0, description="seconds until a question to the judge is given up")
    retries: int = Field(2, ge=0, description="how often a question that failed is put again")
    agreement_items: int = Field(
        100, ge=0, description="answers on which the judge is compared with the rules, drawn at random"
    )


class EvaluationConfig(Section):
    """What candidate and base are measured on."""

    cloze_items: int = Field(280, ge=0, description="multiple-choice items built from held-out documents")
    reasoning_items: int = Field(120, ge=0, description="procedural reasoning items with exact oracles")
    reasoning_tasks: tuple[str, ...] = Field(
        ("basic_arithmetic", "number_sorting"), description="reasoning-gym datasets"
    )
    suites: tuple[str, ...] = Field((), description="user suites, JSONL files")
    benchmarks: tuple[str, ...] = Field(
        (), description="the paper's benchmarks to measure on, by name, or all; `spice suites list` shows them"
    )
    benchmark_items: int = Field(0, ge=0, description="most items of each benchmark, drawn by seed; 0 takes all")
    benchmark_store: str | None = Field(
        None,
        description="a folder or s3://bucket/prefix with copies of benchmarks, which training has no credentials for; "
        "none: the hub",
    )
    bias: str | None = Field(None, description="paired prompts, a JSONL file or built-in; none leaves them out")
    compliance: str | None = Field(
        None, description="what must be refused and answered, a JSONL file or built-in; none leaves it out"
    )
    judge: JudgeConfig = JudgeConfig()
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
    margins: dict[str, Annotated[float, Field(ge=0.0)]] = Field(
        {}, description="other margins for some suites, such as {compliance_refuse: 0.02}"
    )
    required_suites: tuple[str, ...] = Field((), description="suites without which nothing passes")
    side_effect_margins: dict[str, Annotated[float, Field(ge=0.0)]] = Field(
        {}, description="largest rise of a side effect, such as {bias_amplification: 0.05, calibration_brier: 0.02}"
    )
    min_judge_agreement: float = Field(
        0.8, ge=0.0, le=1.0, description="where a judge was used: lower bound of its agreement with the rules"
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
