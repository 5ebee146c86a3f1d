"""A Kubernetes API in memory, the same behind HTTP, and a Kubeflow Pipelines service on loopback."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("kfp", reason="NO KFP: install the kubeflow extra to test what talks to Kubeflow")

from spice.kubeflow.jobs import Condition, ExpiredError, Job, Manifest, Pod, TakenError
from spice.store import ObjectStore
from spice.store.folder import FolderStore

NAMESPACE = "team"
JOBS_PATH = f"/apis/trainer.kubeflow.org/v1alpha1/namespaces/{NAMESPACE}/trainjobs"
PODS_PATH = f"/api/v1/namespaces/{NAMESPACE}/pods"


@dataclass
class FakeCluster:
    """TrainJobs with what `spice.kubeflow.jobs` says of versions, names and watches, and nothing else.

    Time passes only in `watch`: one that has nothing to tell takes the next of `steps`, which may change anything, as
    controllers and people do meanwhile.
    """

    steps: list[Callable[[FakeCluster], None]] = field(default_factory=list)
    created: list[Manifest] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    known_pods: dict[str, list[Pod]] = field(default_factory=dict)
    lines: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    objects: dict[str, Job] = field(default_factory=dict)
    _history: list[tuple[int, str, Job | None]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _oldest: int = 0

    def create(self, manifest: Manifest) -> Job:
        name = manifest["metadata"]["name"]
        if name in self.objects:
            raise TakenError(f"Could not create the TrainJob {name}: 409 Conflict.")
        self.created.append(copy.deepcopy(dict(manifest)))
        return self._put(Job(name, f"uid-{next(self._numbers)}", "", False, ()))

    def get(self, name: str) -> Job | None:
        return self.objects.get(name)

    def delete(self, name: str, uid: str) -> None:
        found = self.objects.get(name)
        if found is None or found.uid != uid:
            return
        self.deleted.append(name)
        if name not in self.held:
            self.vanish(name)
        elif not found.deleting:
            self._put(replace(found, deleting=True))

    def watch(self, name: str, since: str, seconds: int) -> Iterator[Job | None]:
        if int(since) < self._oldest:
            raise ExpiredError("Could not watch: 410 Gone.")
        if not self._later(name, since) and self.steps:
            self.steps.pop(0)(self)
        if int(since) < self._oldest:
            raise ExpiredError("Could not watch: 410 Gone.")
        yield from self._later(name, since)

    def pods(self, name: str) -> list[Pod]:
        return self.known_pods.get(name, [])

    def logs(self, pod: str, seconds: int) -> list[tuple[str, str]]:
        return self.lines.get(pod, [])

    def set(self, name: str, *conditions: Condition) -> Job:
        """What the Trainer does: write the status."""
        return self._put(replace(self.objects[name], conditions=conditions))

    def hold(self, name: str) -> None:
        """Somebody's finalizer keeps the object until it vanishes."""
        self.held.add(name)

    def vanish(self, name: str) -> None:
        """The object is gone."""
        self.held.discard(name)
        del self.objects[name]
        self._history.append((next(self._numbers), name, None))

    def forget(self) -> str:
        """What etcd does from time to time: forget earlier versions. Returns one that is forgotten."""
        forgotten, self._oldest = str(self._oldest), next(self._numbers)
        self.objects = {name: replace(job, version=str(self._oldest)) for name, job in self.objects.items()}
        return forgotten

    def _put(self, job: Job) -> Job:
        version = next(self._numbers)
        self.objects[job.name] = replace(job, version=str(version))
        self._history.append((version, job.name, self.objects[job.name]))
        return self.objects[job.name]

    def _later(self, name: str, since: str) -> list[Job | None]:
        return [job for version, of, job in self._history if of == name and version > int(since)]


COMPLETE = Condition("Complete", "JobsCompleted", "jobset completed successfully")
FAILED = Condition("Failed", "FailedJobs", "jobset failed due to one or more job failures")
SUSPENDED = Condition("Suspended", "Suspended", "TrainJob is suspended")


class LiveCluster:
    """TrainJobs of a real API server, changed from behind, as the Trainer and people do."""

    def __init__(self, api: Any, namespace: str, eventually: Callable[[Callable[[], bool], str], None]) -> None:
        from kubernetes import dynamic

        self._namespace, self._eventually = namespace, eventually
        self._jobs = dynamic.DynamicClient(api).resources.get(
            api_version="trainer.kubeflow.org/v1alpha1", kind="TrainJob"
        )

    def hold(self, name: str) -> None:
        """Somebody's finalizer keeps the object until it vanishes."""
        self._patch(name, {"metadata": {"finalizers": ["spice.platform/test"]}})

    def vanish(self, name: str) -> None:
        """The object is gone."""
        from kubernetes.client.exceptions import ApiException

        self._patch(name, {"metadata": {"finalizers": None}})
        with contextlib.suppress(ApiException):
            self._jobs.delete(name, self._namespace)
        self._eventually(lambda: not self._jobs.get(namespace=self._namespace, field_selector=_named(name)).items, name)

    def forget(self) -> str:
        """A version that the server knows no more: its very first, before there were definitions."""
        return "1"

    def set(self, name: str, *conditions: Condition) -> None:
        """What the Trainer does: write the status."""
        now = "2026-01-01T00:00:00Z"
        held = [
            {"type": c.type, "status": "True", "reason": c.reason, "message": c.message, "lastTransitionTime": now}
            for c in conditions
        ]
        self._jobs.status.patch(
            {"metadata": {"name": name}, "status": {"conditions": held}},
            namespace=self._namespace,
            content_type="application/merge-patch+json",
        )

    def _patch(self, name: str, body: dict[str, Any]) -> None:
        self._jobs.patch(body, name, self._namespace, content_type="application/merge-patch+json")


def _named(name: str) -> str:
    return f"metadata.name={name}"


class ApiServer:
    """A fake cluster behind the wire format of the Kubernetes API."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.raw_pods: list[dict[str, Any]] = []
        self.requests: list[str] = []

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """Status and JSON body of a request; a list is a stream of events."""
        name = path.rpartition("/")[2]
        try:
            if path == JOBS_PATH and method == "POST":
                return 201, self._raw(self.cluster.create(body))
            if path == JOBS_PATH and query.get("watch"):
                wanted = query["fieldSelector"].removeprefix("metadata.name=")
                return 200, [self._event(one) for one in self.cluster.watch(wanted, query["resourceVersion"], 0)]
            if path.startswith(JOBS_PATH) and method == "DELETE":
                found = self.cluster.get(name)
                if found is not None and found.uid != body["preconditions"]["uid"]:
                    return self._refusal(409, "Conflict")
                if found is not None:
                    self.cluster.delete(name, found.uid)
                return (200, {}) if found is not None else self._refusal(404, "NotFound")
            if path.startswith(JOBS_PATH):
                found = self.cluster.get(name)
                return (200, self._raw(found)) if found is not None else self._refusal(404, "NotFound")
            if path == PODS_PATH:
                return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": self.raw_pods}
            if path.startswith(PODS_PATH) and path.endswith("/log"):
                pod = path.split("/")[-2]
                if pod not in self.cluster.lines:
                    return self._refusal(400, "BadRequest")
                return 200, "".join(f"{stamp} {line}\n" for stamp, line in self.cluster.lines[pod])
        except TakenError:
            return self._refusal(409, "AlreadyExists")
        except ExpiredError:
            return 200, [{"type": "ERROR", "object": self._refusal(410, "Expired")[1]}]
        return self._refusal(403, "Forbidden")

    def _event(self, job: Job | None) -> dict[str, Any]:
        if job is None:
            gone = {"metadata": {"name": "gone", "uid": "gone", "resourceVersion": "0"}}
            return {"type": "DELETED", "object": gone}
        return {"type": "MODIFIED", "object": self._raw(job)}

    @staticmethod
    def _raw(job: Job) -> dict[str, Any]:
        metadata = {"name": job.name, "uid": job.uid, "resourceVersion": job.version}
        if job.deleting:
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        held = [{"type": c.type, "status": "True", "reason": c.reason, "message": c.message} for c in job.conditions]
        return {"metadata": metadata, "spec": {}, **({"status": {"conditions": held}} if held else {})}

    @staticmethod
    def _refusal(status: int, reason: str) -> tuple[int, dict[str, Any]]:
        body = {"kind": "Status", "status": "Failure", "reason": reason, "message": reason, "code": status}
        return status, body


@contextlib.contextmanager
def served(answer: Callable[[str, str, dict[str, str], Any], tuple[int, Any]]) -> Iterator[str]:
    """An HTTP server on loopback that gives these answers; the block's value is its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            split = urlsplit(self.path)
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(data) if data and "json" in self.headers.get("Content-Type", "") else data
            query = {name: values[0] for name, values in parse_qs(split.query).items()}
            query["Authorization"] = self.headers.get("authorization", "")
            status, found = answer(self.command, split.path, query, body)
            if isinstance(found, list):
                text = "".join(json.dumps(one) + "\n" for one in found)
            else:
                text = found if isinstance(found, str) else json.dumps(found)
            payload = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(found, str) else "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_DELETE = do_PATCH = _serve

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def live_cluster(kube_api: Any, kube_definitions: None, eventually: Any) -> Iterator[tuple[LiveCluster, str]]:
    """A real API server and a namespace of our own in it."""
    from kubernetes import client

    core = client.CoreV1Api(kube_api)
    namespace = core.create_namespace({"metadata": {"generateName": "spice-test-"}}).metadata.name
    yield LiveCluster(kube_api, namespace, eventually), namespace
    core.delete_namespace(namespace)


@pytest.fixture
def api_server(cluster: FakeCluster) -> Iterator[tuple[ApiServer, str]]:
    server = ApiServer(cluster)
    with served(server.answer) as address:
        yield server, address


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture(scope="session")
def serve() -> Callable[..., Any]:
    """`served`, for tests that bring their own answers."""
    return served
