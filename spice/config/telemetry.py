"""Settings of experiment trackers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spice.config.section import Section


class TelemetryConfig(Section):
    """A copy of each iteration's figures for an experiment tracker. Credentials are read by its own client."""

    sink: Literal["none", "mlflow", "wandb"] = Field("none", description="where the figures go, beside the store")
    project: str = Field("spice", min_length=1, description="MLflow's experiment, or the project of Weights & Biases")
    uri: str | None = Field(
        None, description="MLflow's tracking server or folder; none takes MLFLOW_TRACKING_URI. Not used by wandb"
    )
