"""A dataset version in, a checkpoint out."""

from kfp import dsl

from components import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train(
    corpus: str,
    name: str,
    run: str,
    job: str,
    recipe: str,
    start: str,
    launcher: str,
    preset: str,
    settings: list,
    store: str,
    checkpoint: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
) -> str:
    """Let a model improve itself on a dataset version. Repeated, it goes on from the last checkpoint.

    Args:
        corpus: Reference of the dataset version, datasets/NAME/DIGEST.
        name: Name of the dataset, for the names of runs.
        run: Name of the run. Empty: made of the dataset's name and the job's id.
        job: Id of the pipeline job.
        recipe: The system that is trained, such as spice. Empty: as the settings say.
        start: The model to begin with, as checkpoints/DIGEST. Empty: as the settings say.
        launcher: Where training runs: pod (this one) or trainjob (a Kubeflow TrainJob that this pod follows).
            Empty: as the settings say.
        preset: Named settings; `spice config presets` lists them.
        settings: More settings as a JSON list, such as ["training.iterations=64"]; they win over the preset.
        store: Where everything goes: s3://bucket/prefix. Empty: the store that the platform was installed with.
        checkpoint: The last checkpoint; its metadata hold its reference, its digest and what it came from.
        metrics: Figures of the last iteration.
        report: The run's page: curves, sampled tasks, lineage.

    Returns:
        Reference of the last checkpoint, checkpoints/DIGEST.
    """
    from spice.kubeflow import artifacts, inputs, outcome
    from spice.kubeflow.open import open_launcher
    from spice.kubeflow.progress import Log
    from spice.store import open_store

    chosen = {"recipe.name": recipe, "model.name": start, "kubeflow.launcher": launcher}
    config = inputs.configure(preset, [*settings, *(f"{key}={value}" for key, value in chosen.items() if value)], store)
    this = inputs.run_name(run, name, job, recipe)
    trained = open_launcher(config).train(corpus, config, this, progress=Log())
    opened = open_store(config.store)
    artifacts.describe(checkpoint, opened, trained.ref, base=trained.base, corpus=corpus, run=this)
    artifacts.log_metrics(metrics, outcome.training_metrics(opened, this))
    artifacts.write(report, outcome.page(opened, this))
    return trained.ref
