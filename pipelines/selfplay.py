"""Documents to a release request; the pipeline that people start from the Kubeflow UI."""

from kfp import dsl

from components.evaluate.component import evaluate
from components.gate.component import gate
from components.ingest.component import ingest
from components.record_outcome.component import record_outcome
from components.request_promotion.component import request_promotion
from components.train.component import train
from spice.kubeflow.placement import place, returned


@dsl.pipeline(
    name="selfplay",
    description="Let a model improve itself on your documents, measure it, and ask for its release if the gate agrees.",
)
def selfplay(
    documents: str,
    name: str = "documents",
    preset: str = "qwen3-4b",
    settings: list = [],  # noqa: B006 kfp compiles defaults and never calls this with them
    recipe: str = "",
    start: str = "",
    run: str = "",
    launcher: str = "pod",
    cpu: str = "8",
    memory: str = "64Gi",
    gpus: str = "1",
    requester: str = "pipeline",
    store: str = "",
) -> None:
    """Ingest, train, evaluate, ask the gate and, if it says pass, request the release.

    The job succeeds when the gate says no: that is an answer. How it ended is recorded in the store in any case.

    Args:
        documents: Where the documents are: s3://bucket/prefix on the store's S3 service, a folder that the pod can
            see, or a dataset version in the store (datasets/NAME, datasets/NAME@TAG, datasets/NAME/DIGEST).
        name: Name of the dataset: lower-case letters, digits, dots and dashes.
        preset: Named settings: smoke (a test, minutes on CPU), laptop, qwen3-4b or qwen3-8b.
        settings: More settings as a JSON list, such as ["training.iterations=64", "seed=1"]; they win over the preset.
        recipe: The system that is trained, such as spice. Empty: as the settings say.
        start: The model to begin with, as checkpoints/DIGEST. Empty: the preset's.
        run: Name of the run; a run of that name that was stopped goes on. Empty: made of name and job.
        launcher: Where training runs: pod (the component's own) or trainjob (a Kubeflow TrainJob).
        cpu: Cores of the pods that train and evaluate.
        memory: Memory of the pods that train and evaluate.
        gpus: GPUs of the pods that train and evaluate; 0 for none.
        requester: Whose registered key signs the gate's answer and the request.
        store: Where everything goes: s3://bucket/prefix. Empty: the store that the platform was installed with.
    """
    job = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    common = {"preset": preset, "settings": settings, "store": store}
    size = {"cpu": cpu, "memory": memory, "gpus": gpus}
    recorded = place(record_outcome(name=name, run=run, job=job, recipe=recipe, **common), "request")
    with dsl.ExitHandler(recorded, name="the-run"):
        corpus = place(ingest(documents=documents, name=name, **common), "ingest", memory="8Gi", repeatable=True)
        trained = place(
            train(
                corpus=returned(corpus),
                name=name,
                run=run,
                job=job,
                recipe=recipe,
                start=start,
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
        answer = place(gate(evaluation=returned(evaluated), requester=requester, **common), "request", signs=True)
        with dsl.If(returned(answer) == "pass", name="the-gate-says-pass"):
            place(
                request_promotion(evaluation=returned(evaluated), requester=requester, **common), "request", signs=True
            )
