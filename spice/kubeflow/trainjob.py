"""Training in a Kubeflow TrainJob: create it, follow it, cancel it with the pipeline, clean up after it.

The TrainJob's pod does the work and keeps its progress in the store, where this launcher reads it. What the cluster
interrupts (preemption, eviction, a lost node) goes on from the last checkpoint in a new TrainJob; what failed by
itself is not repeated.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping

from spice.config import Config
from spice.errors import ClusterError, StoreError, TrainingError
from spice.kubeflow.jobs import ExpiredError, Job, Jobs, Manifest, Pod, TakenError
from spice.kubeflow.launcher import Checkpoint, Progress, continued, has_begun
from spice.kubeflow.manifest import job_name, manifest
from spice.promotion.switch import require_disengaged
from spice.reporting import run_info
from spice.store import ObjectStore, open_store
from spice.training.stopping import terminable

_LOG = logging.getLogger(__name__)
_WATCH_SECONDS = 10
_PATIENCE = 30  # failures in a row of API server or store, about as many times _WATCH_SECONDS, before we give up
_LAST_LINES = 20


class TrainJobs:
    """Trains in TrainJobs; see `spice.kubeflow.launcher.Launcher`."""

    def __init__(
        self,
        jobs: Jobs,
        sleep: Callable[[float], None] = time.sleep,
        environ: Mapping[str, str] = os.environ,
        say: Callable[[str], None] = print,
    ) -> None:
        """Use the TrainJobs of one namespace.

        Args:
            jobs: the door to Kubernetes.
            sleep: waits between attempts to reach it.
            environ: names the pod that this runs in.
            say: told every line that a TrainJob's pod logs.
        """
        self._jobs, self._sleep, self._environ, self._say = jobs, sleep, environ, say

    def train(self, corpus: str, config: Config, run: str, *, progress: Progress) -> Checkpoint:
        """As `Launcher.train`.

        Raises:
            ClusterError: Kubernetes refused, or could not be reached for some minutes.
        """
        store = open_store(config.store)
        require_disengaged(store)
        if has_begun(store, run):
            config = continued(store, run, corpus, config)
            if run_info(store, run).checkpoint is not None:
                return _made(store, run)
        with terminable():  # a cancelled pipeline ends its pods by SIGTERM
            for attempt in range(config.kubeflow.restarts + 1):
                ended = self._attempt(job_name(run, attempt), corpus, config, run, store, progress)
                if ended is None:
                    return _made(store, run)
                _LOG.warning("%s; the run goes on from its last checkpoint", ended)
        raise TrainingError(
            f"The cluster interrupted the training of {run} {config.kubeflow.restarts + 1} times, last: {ended}. "
            "What was done is kept; start the pipeline again with this run's name when the cluster is calmer."
        )

    def _attempt(
        self, name: str, corpus: str, config: Config, run: str, store: ObjectStore, progress: Progress
    ) -> str | None:
        """Create one TrainJob and follow it: returns how the cluster interrupted it, `None` if it did its work."""
        job = self._created(name, manifest(name, corpus, config, run, self._environ))
        if job is None:
            return f"a TrainJob {name} was left over"
        follower = _Follower(self._jobs, store, run, config.training.iterations, progress, self._say)
        try:
            ended = self._followed(job, follower)
            if ended is None:
                raise TrainingError(f"The TrainJob {name} was deleted by someone else. What was done is kept.")
            failure = ended.condition("Failed")
            if failure is None:
                return None
            pods = self._jobs.pods(name)
        finally:
            self._clean_up(job)
        words = f"the TrainJob {name} failed: {failure.reason}: {failure.message}"
        if any(pod.disrupted for pod in pods):
            return words
        raise TrainingError(f"Training {run} failed in {name}. {_reason(pods, follower.last_lines) or words}")

    def _created(self, name: str, wanted: Manifest) -> Job | None:
        """The TrainJob, perhaps one that an earlier process of this task left running; `None` if that has ended."""
        try:
            return self._jobs.create(wanted)
        except TakenError:
            found = self._jobs.get(name)
            if found is None or found.deleting:
                return None
            if found.finished:
                self._clean_up(found)
                return None
            _LOG.warning("following the TrainJob %s, which is there already", found.name)
            return found

    def _followed(self, job: Job, follower: _Follower) -> Job | None:
        """The TrainJob once it has ended, `None` if it is gone."""
        failures, stale = 0, False
        current: Job | None = job
        while current is not None and not current.finished:
            try:
                current = self._same(job) if stale else self._next(current)
                stale = False
                follower.look(current)
            except ExpiredError:
                stale = True
            except (ClusterError, StoreError) as error:
                # The pod trains on meanwhile; a control plane that is being upgraded is no reason to end it.
                failures += 1
                if failures > _PATIENCE:
                    raise
                _LOG.warning("%s Trying again (%d of %d).", error, failures, _PATIENCE)
                self._sleep(_WATCH_SECONDS)
            else:
                failures = 0
        return current

    def _next(self, job: Job) -> Job | None:
        """The newest state that the API server tells in a while; `job` itself if nothing changed."""
        newest: Job | None = job
        for newest in self._jobs.watch(job.name, job.version, _WATCH_SECONDS):
            if newest is None or newest.finished:
                break
        return newest

    def _same(self, job: Job) -> Job | None:
        found = self._jobs.get(job.name)
        return found if found is not None and found.uid == job.uid else None

    def _clean_up(self, job: Job) -> None:
        """Finished TrainJobs stay for ever unless somebody deletes them, and running ones hold GPUs."""
        try:
            self._jobs.delete(job.name, job.uid)
        except ClusterError as error:
            _LOG.warning("%s Delete it by hand: kubectl delete trainjob %s", error, job.name)


class _Follower:
    """Tells what happens in a TrainJob: its progress from the store, its log from the pod."""

    def __init__(
        self, jobs: Jobs, store: ObjectStore, run: str, total: int, progress: Progress, say: Callable[[str], None]
    ) -> None:
        self._jobs, self._store, self._run, self._total = jobs, store, run, total
        self._progress, self._say = progress, say
        self._done = -1
        self._heard = ""
        self.last_lines: list[str] = []

    def look(self, job: Job | None) -> None:
        """Tell what is new."""
        if job is None:
            return
        self._tell_progress("waits for its turn" if job.condition("Suspended") else "")
        for pod in self._jobs.pods(job.name)[:1]:
            self._repeat_log(pod)

    def _tell_progress(self, note: str) -> None:
        done = max(self._done, 0)
        while done < self._total and self._store.head(f"runs/{self._run}/iterations/{done + 1:06d}.json"):
            done += 1
        if done != self._done:
            self._done = done
            self._progress(done, self._total, "train", note)

    def _repeat_log(self, pod: Pod) -> None:
        for stamp, line in self._jobs.logs(pod.name, 6 * _WATCH_SECONDS):
            if stamp > self._heard:
                self._heard = stamp
                self._say(f"{pod.name}: {line}")
                self.last_lines = [*self.last_lines, line][-_LAST_LINES:]


def _made(store: ObjectStore, run: str) -> Checkpoint:
    info = run_info(store, run)
    if info.checkpoint is None or info.base is None:
        raise TrainingError(f"The TrainJob of {run} ended well, but the run names no checkpoint; is it another store?")
    return Checkpoint(info.checkpoint, info.base)


def _reason(pods: list[Pod], lines: list[str]) -> str:
    """Why training failed, from the most telling source there is."""
    for pod in pods:
        if pod.reason == "OOMKilled":
            return f"The pod {pod.name} ran out of memory; lower learner.microbatch_tokens, or give it more."
        if pod.message:
            return f"{pod.name}: {pod.message.strip()}"
    return "\n".join(["The last lines of its log:", *lines]) if lines else ""
