"""Where a component's pod runs and what it may hold: resources, the store's address, one stage's credentials and keys.

Every stage has a Secret of its own, so that training cannot write evaluations and evaluation cannot write checkpoints
even if the pod is taken over. All of this is optional in the pod: on an installation without these Secrets, or on a
laptop, the environment decides. kfp.local ignores it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from kfp import kubernetes
from kfp.dsl import PipelineTask
from kfp.dsl.pipeline_channel import PipelineChannel, PipelineParameterChannel

from spice.kubeflow.inputs import MOUNTED_KEYS

Stage = Literal["ingest", "train", "evaluate", "request", "promote"]

STORE_CONFIG_MAP = "spice-store"
"""ConfigMap with the store's address, under the keys of `STORE_ENVIRONMENT`."""

STORE_ENVIRONMENT = {
    "url": "SPICE_STORE__URL",
    "endpoint": "SPICE_STORE__ENDPOINT",
    "region": "SPICE_STORE__REGION",
    "secure": "SPICE_STORE__SECURE",
}
CREDENTIALS = {"access-key": "SPICE_S3_ACCESS_KEY", "secret-key": "SPICE_S3_SECRET_KEY"}
GPU = "nvidia.com/gpu"

_SERVICE_ACCOUNTS = {"promote": "spice-promote", "rollback": "spice-promote"}
_SERVICE_ACCOUNT = "spice-selfplay"
_RETRIES = 2
_BACKOFF = "30s"

Quantity: TypeAlias = str | PipelineParameterChannel


def service_account(pipeline: str) -> str:
    """The chart's service account for a pipeline's pods: what releases runs under another one than what trains."""
    return _SERVICE_ACCOUNTS.get(pipeline, _SERVICE_ACCOUNT)


def credentials_secret(stage: Stage) -> str:
    """The Secret with the S3 credentials of a stage, under the keys of `CREDENTIALS`."""
    return f"spice-store-{stage}"


def keys_secret(stage: Stage) -> str:
    """The Secret with the private keys that a stage signs with, each as `<name>.pem`."""
    return f"spice-keys-{stage}"


def place(
    task: PipelineTask,
    stage: Stage,
    *,
    cpu: Quantity = "1",
    memory: Quantity = "2Gi",
    gpus: Quantity | None = None,
    signs: bool = False,
    repeatable: bool = False,
    cached: bool = False,
) -> PipelineTask:
    """Give a task what its stage needs.

    Args:
        task: the task.
        stage: whose credentials it gets.
        cpu: cores, requested and at most, such as `4` or `500m`.
        memory: memory, requested and at most, such as `16Gi`.
        gpus: number of GPUs, `0` for none; left out, the pod never asks for one.
        signs: mount the stage's private keys.
        repeatable: try again if the pod dies or a service fails; only where doing it twice is as good as once.
        cached: take the result of an earlier run with the same inputs; never where a decision is made.
    """
    task.set_cpu_request(cpu).set_cpu_limit(cpu).set_memory_request(memory).set_memory_limit(memory)
    if gpus is not None:
        task.set_accelerator_type(GPU).set_accelerator_limit(gpus)
    # Else the compiler passes these parameters to the top of the pipeline only, and a task in a loop, a condition or an
    # exit handler would ask for one that is not there.
    task.register_pipeline_channels([one for one in (cpu, memory, gpus) if isinstance(one, PipelineChannel)])
    if repeatable:
        task.set_retry(_RETRIES, backoff_duration=_BACKOFF)
    task.set_caching_options(cached)
    kubernetes.use_config_map_as_env(task, STORE_CONFIG_MAP, STORE_ENVIRONMENT, optional=True)
    kubernetes.use_secret_as_env(task, credentials_secret(stage), CREDENTIALS, optional=True)
    if signs:
        kubernetes.use_secret_as_volume(task, keys_secret(stage), str(MOUNTED_KEYS), optional=True)
    kubernetes.add_pod_label(task, "spice.platform/stage", stage)
    return task


def returned(task: PipelineTask) -> PipelineChannel:
    """What a component returned, to be passed on or compared.

    Conditions compare this and nothing else: kfp.local skips a `dsl.If` on a named output, and reports success.
    """
    return task.outputs["Output"]
