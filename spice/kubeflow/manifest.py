"""The TrainJob that trains one run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from spice.config import Config
from spice.kubeflow.placement import CREDENTIALS, GPU, credentials_secret

MANAGER = "spice"
RUN_ANNOTATION = "spice.platform/run"
STAGE_LABEL = "spice.platform/stage"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

# After SIGTERM the worker ends its iteration and stores its state, which takes minutes on a large model. torchrun would
# kill it after 30 s.
_GRACE_SECONDS = 900
_SHUTDOWN_SECONDS = _GRACE_SECONDS - 60
# The Trainer's name for the replicated job, and the container, that trains.
_NODE = "node"


def job_name(run: str, attempt: int) -> str:
    """The name of the TrainJob of a run: the same each time, at most 63 characters, begins with a letter."""
    digest = hashlib.sha256(run.encode()).hexdigest()[:8]
    plain = re.sub(r"[^a-z0-9]+", "-", run.lower()).strip("-")[:40].rstrip("-")
    return f"spice-{plain}-{digest}-{attempt}"


def manifest(name: str, corpus: str, config: Config, run: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """The TrainJob `name` that trains `run`, for Kubeflow Trainer 2.3 (v1alpha1, runtime patches).

    Args:
        name: of the TrainJob.
        corpus: reference of the dataset version.
        config: of the run; it travels in the arguments, since it holds no credentials.
        run: its name.
        environ: names the pod of the pipeline task, if this runs in one. The TrainJob then belongs to that pod, and
            Kubernetes deletes it with the pod even if nobody is left to cancel it.
    """
    settings = config.kubeflow
    queued = {QUEUE_LABEL: settings.queue} if settings.queue else {}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/part-of": "spice", STAGE_LABEL: "train", **queued},
            "annotations": {RUN_ANNOTATION: run},
            **_owners(environ),
        },
        "spec": {
            "runtimeRef": {
                "apiGroup": "trainer.kubeflow.org",
                "kind": "ClusterTrainingRuntime",
                "name": settings.runtime,
            },
            "trainer": _trainer(corpus, config, run),
            "runtimePatches": [
                {"manager": MANAGER, "trainingRuntimeSpec": {"template": _patch(settings.service_account)}}
            ],
            # Kueue starts a TrainJob by ending its suspension.
            **({"suspend": True} if settings.queue else {}),
        },
    }


def _owners(environ: Mapping[str, str]) -> dict[str, Any]:
    name, uid = environ.get("KFP_POD_NAME"), environ.get("KFP_POD_UID")
    if not (name and uid):
        return {}
    return {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}]}


def _trainer(corpus: str, config: Config, run: str) -> dict[str, Any]:
    settings = config.kubeflow
    secret = credentials_secret("train")
    return {
        **({"image": settings.image} if settings.image else {}),
        "command": ["torchrun", "--shutdown-timeout", str(_SHUTDOWN_SECONDS), "-m", "spice.kubeflow.worker"],
        "args": [corpus, run, config.model_dump_json()],
        # The worker starts training.ranks processes by itself, and watches them; see docs/engines.md.
        "numNodes": 1,
        "numProcPerNode": 1,
        "env": [
            {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key, "optional": True}}}
            for key, variable in CREDENTIALS.items()
        ],
        **({"resourcesPerNode": {"limits": {GPU: settings.gpus}}} if settings.gpus else {}),
    }


def _patch(service_account: str | None) -> dict[str, Any]:
    pod = {
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        **({"serviceAccountName": service_account} if service_account else {}),
    }
    template = {"metadata": {"labels": {STAGE_LABEL: "train"}}, "spec": pod}
    return {"spec": {"replicatedJobs": [{"name": _NODE, "template": {"spec": {"template": template}}}]}}
