"""The door to Kubernetes: the few calls that following a TrainJob needs, and what we rely on in each.

Every change of an object gives it a new `resourceVersion`, an opaque string. A watch that starts at a version tells
every later change, in order; it may end at any time, and a version may be too old to start at. Names are unique at
one time and can be taken again later, so whoever deletes names the `uid` too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from spice.errors import ClusterError

Manifest = Mapping[str, Any]


class TakenError(ClusterError):
    """There is an object of that name already."""


class ExpiredError(ClusterError):
    """The version is too old to watch from; read the object again."""


@dataclass(frozen=True)
class Condition:
    """The part of a Kubernetes condition that is read here; only those with status True count."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True)
class Job:
    """A TrainJob as it is at one version."""

    name: str
    uid: str
    version: str
    deleting: bool
    conditions: tuple[Condition, ...]

    def condition(self, kind: Literal["Complete", "Failed", "Suspended"]) -> Condition | None:
        """The condition of that type, if it holds."""
        return next((one for one in self.conditions if one.type == kind), None)

    @property
    def finished(self) -> bool:
        """Whether it will not run any more."""
        return bool(self.condition("Complete") or self.condition("Failed"))


@dataclass(frozen=True)
class Pod:
    """One pod of a TrainJob.

    Attributes:
        name: of the pod.
        phase: Pending, Running, Succeeded or Failed.
        reason: why it is not running, if Kubernetes says so, such as Evicted or OOMKilled.
        message: the same in more words; a container's last words, if it left any.
        exit_code: of the container, once it ended.
        disrupted: the cluster ended it, for preemption, eviction or a failing node.
    """

    name: str
    phase: str
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    disrupted: bool = False


class Jobs(Protocol):
    """TrainJobs of one namespace. All methods raise `ClusterError` when the API cannot be reached or refuses."""

    def create(self, manifest: Manifest) -> Job:
        """Create a TrainJob. Raises `TakenError` if there is one of that name, even one that is being deleted."""
        ...

    def get(self, name: str) -> Job | None:
        """The TrainJob as it is now, or `None`."""
        ...

    def delete(self, name: str, uid: str) -> None:
        """Delete this very TrainJob with all its pods, which get SIGTERM and their time to end.

        Returns at once. That it is gone already, or another one has its name, is no error.
        """
        ...

    def watch(self, name: str, since: str, seconds: int) -> Iterator[Job | None]:
        """Every later state of the TrainJob, `None` once it is gone, for at most `seconds`.

        Raises:
            ExpiredError: changes since then are not known any more.
        """
        ...

    def pods(self, name: str) -> list[Pod]:
        """The pods of a TrainJob that still exist, in order of name."""
        ...

    def logs(self, pod: str, seconds: int) -> list[tuple[str, str]]:
        """Time stamp and text of the lines that a pod wrote in the last `seconds`; none before it runs."""
        ...
