"""The whole configuration: one frozen, typed tree.

Every field has its default and a line that explains it; `spice config show`
prints the tree with the place each value came from. Nothing here reads files
or the environment: that is `spice.settings`.
"""

from __future__ import annotations

from pydantic import Field

from spice.config.documents import CorpusConfig, ParsingConfig, SourcesConfig
from spice.config.judging import (
    AlarmAction,
    EvaluationConfig,
    HealthActions,
    HealthConfig,
    JudgeConfig,
    PromotionConfig,
)
from spice.config.learning import (
    ChallengerReward,
    Estimator,
    LearnerConfig,
    LoraConfig,
    ModelConfig,
    RecipeConfig,
    RecipeName,
    RolloutConfig,
    SpanKind,
    StoreConfig,
    TrainingConfig,
)
from spice.config.section import Section
from spice.config.services import ConsoleConfig, DriftConfig, KubeflowConfig, MonitoringConfig, ServingConfig
from spice.config.telemetry import TelemetryConfig

__all__ = [
    "AlarmAction",
    "ChallengerReward",
    "Config",
    "ConsoleConfig",
    "CorpusConfig",
    "DriftConfig",
    "Estimator",
    "EvaluationConfig",
    "HealthActions",
    "HealthConfig",
    "JudgeConfig",
    "KubeflowConfig",
    "LearnerConfig",
    "LoraConfig",
    "ModelConfig",
    "MonitoringConfig",
    "ParsingConfig",
    "PromotionConfig",
    "RecipeConfig",
    "RecipeName",
    "RolloutConfig",
    "Section",
    "ServingConfig",
    "SourcesConfig",
    "SpanKind",
    "StoreConfig",
    "TelemetryConfig",
    "TrainingConfig",
]


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
    telemetry: TelemetryConfig = TelemetryConfig()
