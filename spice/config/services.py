"""Settings of console, gateway, Kubeflow, drift checks and monitoring."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spice.config.section import Section


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
    group_roles: tuple[str, ...] = Field(
        (), description="the same for members of a group that a token names: group=role+role, such as ml-leads=approver"
    )
    oidc_issuer: str | None = Field(
        None, description="OpenID Connect provider that people log in with; its secret is SPICE_OIDC_CLIENT_SECRET"
    )
    oidc_client: str = Field("", description="this console's client id there; also the audience of its ID tokens")
    oidc_scopes: tuple[str, ...] = Field(("email", "profile"), description="what is asked for besides openid")
    oidc_user_claim: str = Field(
        "email", min_length=1, description="claim that names the person; an email must be verified"
    )
    oidc_groups_claim: str = Field("groups", min_length=1, description="claim that lists the person's groups")
    kubernetes_tokens: bool = Field(False, description="accept tokens of the cluster that the console runs in")
    token_audiences: tuple[str, ...] = Field(
        ("spice-console",), description="for whom a token of the cluster must have been made; one of them suffices"
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
    traffic_share: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="share of requests of which a sketch without text is kept for drift checks; 0 keeps nothing",
    )
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
