"""A copy of each iteration's figures for MLflow or Weights & Biases, through their own clients.

The store remains what counts: a tracker that fails is told of and left alone, and training goes on.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from spice.config import Config, TelemetryConfig
from spice.errors import ConfigError

_LOG = logging.getLogger(__name__)


class Sink(Protocol):
    """Takes figures."""

    def log(self, iteration: int, record: Mapping[str, Any]) -> None:
        """Take an iteration's record; the same iteration again replaces nothing and harms nothing."""
        ...

    def close(self) -> None:
        """Send what is left."""
        ...


def open_sink(config: Config, run: str) -> Sink:
    """The tracker that `telemetry.sink` names; a run that goes on, goes on there.

    Raises:
        ConfigError: its client is not installed.
    """
    match config.telemetry.sink:
        case "none":
            return _Nowhere()
        case "mlflow":
            return _Mlflow(config.telemetry, run)
        case "wandb":
            return _Wandb(config, run)


def figures(record: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    """Every finite number of a record by its dotted path."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from figures(value, f"{path}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{path}{name}", float(value)


class _Nowhere:
    def log(self, iteration: int, record: Mapping[str, Any]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class _Mlflow:
    """One MLflow run, found again by its name."""

    def __init__(self, config: TelemetryConfig, run: str) -> None:
        try:
            import mlflow
        except ImportError as error:
            raise _missing("mlflow", "mlflow-skinny") from error
        self._fault: type[Exception] = mlflow.exceptions.MlflowException
        self._client = mlflow.MlflowClient(tracking_uri=config.uri)
        experiment = self._client.get_experiment_by_name(config.project)
        number = experiment.experiment_id if experiment else self._client.create_experiment(config.project)
        query = f"attributes.run_name = '{run}'"
        known = self._client.search_runs([number], query, max_results=1)
        self._run = (known[0] if known else self._client.create_run(number, run_name=run)).info.run_id

    def log(self, iteration: int, record: Mapping[str, Any]) -> None:
        try:
            for name, value in figures(record):
                self._client.log_metric(self._run, name, value, step=iteration)
        except self._fault as error:
            _LOG.warning("MLflow did not take iteration %d; it is in the store: %s", iteration, error)

    def close(self) -> None:
        self._client.set_terminated(self._run)


class _Wandb:
    """One run of Weights & Biases with the run's name as its id. WANDB_MODE=offline keeps it on this machine."""

    def __init__(self, config: Config, run: str) -> None:
        try:
            import wandb
        except ImportError as error:
            raise _missing("wandb", "wandb") from error
        settings = config.model_dump(mode="json")
        self._run = wandb.init(project=config.telemetry.project, name=run, id=run, resume="allow", config=settings)

    def log(self, iteration: int, record: Mapping[str, Any]) -> None:
        self._run.log(dict(figures(record)), step=iteration)

    def close(self) -> None:
        self._run.finish()


def _missing(sink: str, package: str) -> ConfigError:
    return ConfigError(f"telemetry.sink={sink} needs its client: pip install {package}. Or set it to none.")
