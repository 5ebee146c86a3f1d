"""New documents, continued training, evaluation, the gate's answer; made to recur."""

from kfp import dsl

from components.continue_from.component import continue_from
from components.evaluate.component import evaluate
from components.gate.component import gate
from components.ingest.component import ingest
from components.record_outcome.component import record_outcome
from components.train.component import train
from spice.kubeflow.lineage import UNCHANGED
from spice.kubeflow.placement import place, returned


@dsl.pipeline(
    name="nightly",
    description="If there are new documents, train on from what is live, evaluate and judge. Asks for no release.",
)
def nightly(
    documents: str,
    name: str = "documents",
    preset: str = "qwen3-4b",
    settings: list = [],  # noqa: B006 kfp compiles defaults and never calls this with them
    launcher: str = "pod",
    cpu: str = "8",
    memory: str = "64Gi",
    gpus: str = "1",
    requester: str = "pipeline",
    store: str = "",
) -> None:
    """Ingest; if the documents changed, go on from the live checkpoint, and evaluate and judge what comes of it.

    Args:
        documents: Where the documents are: s3://bucket/prefix on the store's S3 service.
        name: Name of the dataset: lower-case letters, digits, dots and dashes.
        preset: Named settings: smoke (a test, minutes on CPU), laptop, qwen3-4b or qwen3-8b.
        settings: More settings as a JSON list, such as ["training.iterations=64"]; they win over the preset.
        launcher: Where training runs: pod (the component's own) or trainjob (a Kubeflow TrainJob).
        cpu: Cores of the pods that train and evaluate.
        memory: Memory of the pods that train and evaluate.
        gpus: GPUs of the pods that train and evaluate; 0 for none.
        requester: Whose registered key signs the gate's answer.
        store: Where everything goes: s3://bucket/prefix. Empty: the store that the platform was installed with.
    """
    job = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    common = {"preset": preset, "settings": settings, "store": store}
    size = {"cpu": cpu, "memory": memory, "gpus": gpus}
    recorded = place(record_outcome(name=name, run="", job=job, recipe="", **common), "request")
    with dsl.ExitHandler(recorded, name="the-night"):
        corpus = place(ingest(documents=documents, name=name, **common), "ingest", memory="8Gi", repeatable=True)
        start = place(continue_from(corpus=returned(corpus), **common), "train", repeatable=True)
        with dsl.If(returned(start) != UNCHANGED, name="the-documents-changed"):
            trained = place(
                train(
                    corpus=returned(corpus),
                    name=name,
                    run="",
                    job=job,
                    recipe="",
                    start=returned(start),
                    launcher=launcher,
                    **common,
                ),
                "train",
                repeatable=True,
                **size,
            )
            evaluated = place(
                evaluate(checkpoint=returned(trained), **common), "evaluate", repeatable=True, cached=True, **size
            )
            place(gate(evaluation=returned(evaluated), requester=requester, **common), "request", signs=True)
