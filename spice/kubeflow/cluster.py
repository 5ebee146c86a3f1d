"""TrainJobs through the Kubernetes API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from urllib3.exceptions import HTTPError

from spice.errors import ClusterError, ConfigError
from spice.kubeflow.jobs import Condition, ExpiredError, Job, Manifest, Pod, TakenError

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"

_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
# The Trainer names the JobSet after the TrainJob, and the JobSet labels its pods.
_JOBSET_LABEL = "jobset.sigs.k8s.io/jobset-name"
_DISRUPTED_REASONS = frozenset({"Evicted", "NodeLost", "NodeShutdown", "Preempting", "Shutdown", "Terminated"})
_SIGTERM_EXIT = 143
_CALL_SECONDS = 30


class Cluster:
    """The TrainJobs of one namespace of a cluster; see `spice.kubeflow.jobs.Jobs`."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self._custom = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)
        self._namespace = namespace

    @classmethod
    def open(cls) -> Cluster:
        """The cluster that `open_client` finds. Raises `ConfigError`."""
        return cls(*open_client())

    def create(self, manifest: Manifest) -> Job:
        """As `Jobs.create`."""
        with explained(f"create the TrainJob {manifest['metadata']['name']}"):
            return _job(self._custom.create_namespaced_custom_object(**self._where(), body=dict(manifest)))

    def get(self, name: str) -> Job | None:
        """As `Jobs.get`."""
        with explained(f"read the TrainJob {name}"):
            return _absent_as_none(lambda: _job(self._custom.get_namespaced_custom_object(**self._where(), name=name)))

    def delete(self, name: str, uid: str) -> None:
        """As `Jobs.delete`."""
        options = client.V1DeleteOptions(propagation_policy="Background", preconditions=client.V1Preconditions(uid=uid))
        with explained(f"delete the TrainJob {name}"):
            try:
                self._custom.delete_namespaced_custom_object(**self._where(), name=name, body=options)
            except ApiException as error:
                if error.status not in (404, 409):
                    raise

    def watch(self, name: str, since: str, seconds: int) -> Iterator[Job | None]:
        """As `Jobs.watch`."""
        with explained(f"watch the TrainJob {name}"):
            for event in watch.Watch().stream(
                self._custom.list_namespaced_custom_object,
                **{**self._where(), "_request_timeout": seconds + _CALL_SECONDS},
                field_selector=f"metadata.name={name}",
                resource_version=since,
                timeout_seconds=seconds,
            ):
                if event["type"] == "DELETED":
                    yield None
                    return
                yield _job(event["object"])

    def pods(self, name: str) -> list[Pod]:
        """As `Jobs.pods`."""
        with explained(f"list the pods of the TrainJob {name}"):
            found = self._core.list_namespaced_pod(
                self._namespace, label_selector=f"{_JOBSET_LABEL}={name}", _request_timeout=_CALL_SECONDS
            )
        return sorted((_pod(pod) for pod in found.items), key=lambda pod: pod.name)

    def logs(self, pod: str, seconds: int) -> list[tuple[str, str]]:
        """As `Jobs.logs`."""
        with explained(f"read the log of the pod {pod}"):
            try:
                text = self._core.read_namespaced_pod_log(
                    pod, self._namespace, since_seconds=seconds, timestamps=True, _request_timeout=_CALL_SECONDS
                )
            except ApiException as error:
                if error.status not in (400, 404):  # 400: no container has started yet
                    raise
                return []
        lines = (line.partition(" ") for line in text.splitlines())
        return [(stamp, words) for stamp, _, words in lines]

    def _where(self) -> dict[str, Any]:
        return {
            "group": GROUP,
            "version": VERSION,
            "namespace": self._namespace,
            "plural": PLURAL,
            "_request_timeout": _CALL_SECONDS,
        }


def open_client() -> tuple[client.ApiClient, str]:
    """The API of the cluster that this pod runs in, else of the one that KUBECONFIG points to, and the namespace.

    Raises:
        ConfigError: there is neither.
    """
    try:
        config.load_incluster_config()
        namespace = _POD_NAMESPACE.read_text().strip()
    except ConfigException:
        try:
            _, context = config.list_kube_config_contexts()
            config.load_kube_config()
        except (ConfigException, OSError) as error:
            raise ConfigError(
                f"This needs a cluster, but none is known here: {error}. Run in a pod, or set KUBECONFIG."
            ) from error
        namespace = context["context"].get("namespace", "default")
    return client.ApiClient(), namespace


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Errors of the client as ours, with what was attempted."""
    try:
        yield
    except ApiException as error:
        kind = {409: TakenError, 410: ExpiredError}.get(error.status or 0, ClusterError)
        words = _words(error)
        # A policy refuses with 403, too, and says itself what to do.
        by_policy = "denied request" in words
        hint = " Its service account lacks the right to; see docs/kubeflow.md." if error.status == 403 else ""
        raise kind(f"Could not {what}: {error.status} {words}{'' if by_policy else hint}") from error
    except (HTTPError, OSError) as error:
        raise ClusterError(f"Could not {what}: the Kubernetes API cannot be reached: {error}.") from error


class _Loose(BaseModel):
    """What the API server says, as far as it is read."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class _Refusal(_Loose):
    message: str


class _Metadata(_Loose):
    name: str
    uid: str
    version: str = Field(alias="resourceVersion")
    deleted: str | None = Field(None, alias="deletionTimestamp")


class _Condition(_Loose):
    type: str
    status: str
    reason: str = ""
    message: str = ""


class _Status(_Loose):
    conditions: tuple[_Condition, ...] = ()


class _TrainJob(_Loose):
    metadata: _Metadata
    status: _Status = _Status()


def _job(found: Mapping[str, Any]) -> Job:
    try:
        read = _TrainJob.model_validate(found)
    except ValidationError as error:
        raise ClusterError(f"The API server's answer is no TrainJob: {error}") from error
    held = tuple(Condition(c.type, c.reason, c.message) for c in read.status.conditions if c.status == "True")
    meta = read.metadata
    return Job(meta.name, meta.uid, meta.version, meta.deleted is not None, held)


def _pod(found: client.V1Pod) -> Pod:
    status = found.status
    states = [one.state for one in status.container_statuses or () if one.state]
    ended = next((state.terminated for state in states if state.terminated), None)
    waiting = next((state.waiting for state in states if state.waiting), None)
    reasons = [status.reason, ended and ended.reason, waiting and waiting.reason]
    messages = [ended and ended.message, status.message, waiting and waiting.message]
    disrupted = any(one.type == "DisruptionTarget" and one.status == "True" for one in status.conditions or ())
    return Pod(
        name=found.metadata.name,
        phase=status.phase or "Pending",
        reason=next((reason for reason in reasons if reason), ""),
        message=next((message for message in messages if message), ""),
        exit_code=ended.exit_code if ended else None,
        disrupted=disrupted
        or status.reason in _DISRUPTED_REASONS
        or (ended is not None and ended.exit_code == _SIGTERM_EXIT),
    )


def _words(error: ApiException) -> str:
    """Why the API server refused, ending in a full stop; without its own words, the status line's."""
    try:
        said = _Refusal.model_validate_json(error.body or "").message
    except ValidationError:
        said = str(error.reason)
    return f"{said.strip().rstrip('.')}."


def _absent_as_none(read: Callable[[], Job]) -> Job | None:
    try:
        return read()
    except ApiException as error:
        if error.status != 404:
            raise
        return None
