"""Several recipes on the same documents, side by side."""

from kfp import dsl

from components.compare.component import compare as put_side_by_side
from components.evaluate.component import evaluate
from components.ingest.component import ingest
from components.train.component import train
from spice.kubeflow.placement import place, returned


@dsl.pipeline(name="race")
def race(
    corpus: str,
    recipes: list,
    name: str,
    preset: str,
    settings: list,
    run: str,
    launcher: str,
    cpu: str,
    memory: str,
    gpus: str,
    store: str,
) -> None:
    """Train and evaluate each recipe on one corpus, and put the evaluations into one table.

    A pipeline of its own so that its loop takes parameters only: where a loop takes what a task returned, kfp.local
    hands it the loop's item instead.
    """
    common = {"preset": preset, "settings": settings, "store": store}
    size = {"cpu": cpu, "memory": memory, "gpus": gpus}
    with dsl.ParallelFor(recipes, name="each-recipe", parallelism=4) as recipe:
        trained = place(
            train(
                corpus=corpus,
                name=name,
                run=run,
                job=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                recipe=recipe,
                start="",
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
    place(put_side_by_side(evaluations=dsl.Collected(returned(evaluated)), **common), "request", repeatable=True)


@dsl.pipeline(name="compare", description="Train several recipes on the same documents and compare what comes of them.")
def compare(
    documents: str,
    recipes: list = ["spice", "fixed_challenger", "no_corpus"],  # noqa: B006 compiled, never called with
    name: str = "documents",
    preset: str = "qwen3-4b",
    settings: list = [],  # noqa: B006 kfp compiles defaults and never calls this with them
    run: str = "",
    launcher: str = "pod",
    cpu: str = "8",
    memory: str = "64Gi",
    gpus: str = "1",
    store: str = "",
) -> None:
    """Ingest once; train and evaluate each recipe in parallel; put the evaluations into one table.

    Args:
        documents: Where the documents are: s3://bucket/prefix on the store's S3 service, a folder that the pod can
            see, or a dataset version in the store (datasets/NAME, datasets/NAME@TAG, datasets/NAME/DIGEST).
        recipes: The recipes as a JSON list.
        name: Name of the dataset: lower-case letters, digits, dots and dashes.
        preset: Named settings: smoke (a test, minutes on CPU), laptop, qwen3-4b or qwen3-8b.
        settings: More settings as a JSON list, such as ["training.iterations=64"]; the same for all recipes.
        run: First part of the runs' names; the recipe is the last. Empty: made of name and job.
        launcher: Where training runs: pod (the component's own) or trainjob (a Kubeflow TrainJob).
        cpu: Cores of each pod that trains or evaluates.
        memory: Memory of each pod that trains or evaluates.
        gpus: GPUs of each pod that trains or evaluates; 0 for none.
        store: Where everything goes: s3://bucket/prefix. Empty: the store that the platform was installed with.
    """
    corpus = place(
        ingest(documents=documents, name=name, preset=preset, settings=settings, store=store),
        "ingest",
        memory="8Gi",
        repeatable=True,
    )
    race(
        corpus=returned(corpus),
        recipes=recipes,
        name=name,
        preset=preset,
        settings=settings,
        run=run,
        launcher=launcher,
        cpu=cpu,
        memory=memory,
        gpus=gpus,
        store=store,
    )
