"""The Kubeflow Pipelines service: which pipelines stand there, starting them, and how they are getting on."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api as api
from kfp.client import Client
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials
from pydantic import BaseModel, ConfigDict, ValidationError
from urllib3.exceptions import HTTPError

from spice import __version__
from spice.config import KubeflowConfig
from spice.errors import ClusterError, ConfigError
from spice.kubeflow.arguments import Parameter, checked, parameters
from spice.kubeflow.placement import service_account

PREFIX = "spice-"
"""Pipelines are called `spice-<name>` in the Kubeflow UI, where others have theirs."""

_TOKEN_FILE = "KF_PIPELINES_SA_TOKEN_PATH"
_NEWEST = "created_at desc"
_VERSION_DIGITS = 12


@dataclass(frozen=True)
class Uploaded:
    """A pipeline's version in Kubeflow; `new` unless that very version stood there already."""

    name: str
    pipeline_id: str
    version: str
    version_id: str
    new: bool


@dataclass(frozen=True)
class Submitted:
    """A job that was started, or one that was scheduled: its id and the page that shows it."""

    id: str
    page: str


@dataclass(frozen=True)
class TaskState:
    """One task of a job."""

    name: str
    state: str
    error: str = ""


@dataclass(frozen=True)
class JobState:
    """How a job is getting on. States are Kubeflow's: PENDING, RUNNING, SUCCEEDED, SKIPPED, FAILED, CANCELED."""

    id: str
    name: str
    state: str
    error: str
    tasks: tuple[TaskState, ...]


class Service:
    """A client of one Kubeflow Pipelines service. All methods raise `ClusterError` when it fails or refuses."""

    def __init__(self, config: KubeflowConfig) -> None:
        """Connect. Inside the cluster the address is known; a token is read from `$KF_PIPELINES_SA_TOKEN_PATH`.

        Raises:
            ClusterError: the service cannot be reached.
        """
        self._config = config
        credentials = ServiceAccountTokenVolumeCredentials() if os.environ.get(_TOKEN_FILE) else None
        with _explained("connect"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that it is for Pipelines 2, on every start
            self._client = Client(host=config.host, namespace=config.namespace or "kubeflow", credentials=credentials)

    def upload(self, name: str, text: str) -> Uploaded:
        """Make a compiled pipeline the newest version of `spice-<name>`.

        A version's name holds the digest of its content, so that uploading the same again, as every upgrade of the
        chart does, changes nothing.

        Args:
            name: of the pipeline, without prefix.
            text: the IR YAML.
        """
        version = f"{__version__}-{hashlib.sha256(text.encode()).hexdigest()[:_VERSION_DIGITS]}"
        with _explained(f"upload the pipeline {name}"), tempfile.TemporaryDirectory() as temporary:
            pipeline_id = self._pipeline_id(name) or self._create(name)
            for known in self._versions(pipeline_id):
                if known.display_name == version:
                    return Uploaded(PREFIX + name, pipeline_id, version, known.pipeline_version_id, False)
            file = Path(temporary) / f"{name}.yaml"
            file.write_text(text, "utf-8")
            made = self._client.upload_pipeline_version(str(file), version, pipeline_id=pipeline_id)
        return Uploaded(PREFIX + name, pipeline_id, version, made.pipeline_version_id, True)

    def submit(self, name: str, arguments: Mapping[str, str], job: str, account: str | None = None) -> Submitted:
        """Start the newest version of a pipeline.

        Args:
            name: of the pipeline, without prefix.
            arguments: by parameter, as text; lists as JSON.
            job: name of the job in the UI.
            account: service account of its pods; the chart's for this pipeline if none.

        Raises:
            ConfigError: the pipeline is not there, or does not take these arguments.
        """
        with _explained(f"start the pipeline {name}"):
            pipeline_id, version = self._newest(name)
            given = checked(name, _parameters(version), arguments)
            started = self._client.run_pipeline(
                self._experiment(),
                job,
                params=given,
                pipeline_id=pipeline_id,
                version_id=version.pipeline_version_id,
                service_account=account or service_account(name),
            )
            return Submitted(started.run_id, self._page("runs", started.run_id))

    def schedule(
        self, name: str, arguments: Mapping[str, str], job: str, cron: str, account: str | None = None
    ) -> Submitted:
        """Start the newest version of a pipeline again and again, one at a time, without catching up on missed times.

        Args:
            name: as in `submit`; so are the others.
            arguments: likewise.
            job: likewise.
            cron: six fields, seconds first: `0 0 2 * * *` is two o'clock each night.
            account: likewise.

        Raises:
            ConfigError: as `submit` does.
        """
        with _explained(f"schedule the pipeline {name}"):
            pipeline_id, version = self._newest(name)
            given = checked(name, _parameters(version), arguments)
            made = self._client.create_recurring_run(
                self._experiment(),
                job,
                cron_expression=cron,
                no_catchup=True,
                max_concurrency=1,
                params=given,
                pipeline_id=pipeline_id,
                version_id=version.pipeline_version_id,
                service_account=account or service_account(name),
            )
            return Submitted(made.recurring_run_id, self._page("recurringrun", made.recurring_run_id))

    def status(self, job: str) -> JobState:
        """How the job with this id is getting on."""
        with _explained(f"read the job {job}"):
            found = self._client.get_run(job)
        details = found.run_details.task_details if found.run_details else None
        return JobState(
            found.run_id,
            found.display_name or "",
            found.state or "UNKNOWN",
            _message(found.error),
            tuple(
                TaskState(one.display_name or one.task_id, one.state or "UNKNOWN", _message(one.error))
                for one in details or ()
            ),
        )

    def _pipeline_id(self, name: str) -> str | None:
        found: str | None = self._client.get_pipeline_id(PREFIX + name)
        return found

    def _create(self, name: str) -> str:
        body = api.V2beta1Pipeline(
            display_name=PREFIX + name, name=PREFIX + name, namespace=self._config.namespace or ""
        )
        made = self._client.pipelines.pipeline_service_create_pipeline(pipeline=body)
        return str(made.pipeline_id)

    def _versions(self, pipeline_id: str) -> list[Any]:
        found: list[Any] = []
        token = ""
        while True:
            page = self._client.list_pipeline_versions(pipeline_id, page_token=token, page_size=100, sort_by=_NEWEST)
            found += page.pipeline_versions or []
            token = page.next_page_token or ""
            if not token:
                return found

    def _newest(self, name: str) -> tuple[str, Any]:
        pipeline_id = self._pipeline_id(name)
        page = pipeline_id and self._client.list_pipeline_versions(pipeline_id, page_size=1, sort_by=_NEWEST)
        if not pipeline_id or not page or not page.pipeline_versions:
            raise ConfigError(
                f"There is no pipeline {PREFIX}{name} in Kubeflow yet. Run `spice pipeline upload` first."
            )
        return pipeline_id, page.pipeline_versions[0]

    def _experiment(self) -> str:
        made = self._client.create_experiment(self._config.experiment, namespace=self._config.namespace)
        return str(made.experiment_id)

    def _page(self, kind: str, identifier: str) -> str:
        address = (self._config.host or os.environ.get("KF_PIPELINES_UI_ENDPOINT") or "").rstrip("/")
        return f"{address}/#/{kind}/details/{identifier}"


class _Refusal(BaseModel):
    """The body of an error that the service returns."""

    model_config = ConfigDict(extra="ignore")

    error: str = ""
    message: str = ""


def _parameters(version: Any) -> dict[str, Parameter]:
    spec = version.pipeline_spec or {}
    # A pipeline with a platform part is stored as both; see the two documents of the IR YAML.
    return parameters(spec.get("pipeline_spec", spec))


def _message(error: Any) -> str:
    return str(error.message or "") if error else ""


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Errors of the client as ours; and what it prints, off our standard output."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except api.ApiException as error:
        raise ClusterError(f"Kubeflow did not {what}: {error.status} {error.reason}. {_said(error.body)}") from error
    except (HTTPError, OSError, TimeoutError) as error:
        raise ClusterError(
            f"Could not {what}: Kubeflow Pipelines cannot be reached: {error}. Set kubeflow.host or "
            "KF_PIPELINES_ENDPOINT to its address, such as http://localhost:8080 after "
            "`kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80`."
        ) from error


def _said(body: str | bytes | None) -> str:
    try:
        refusal = _Refusal.model_validate(json.loads(body or "{}"))
    except (ValueError, ValidationError):
        return ""
    return refusal.message or refusal.error
