"""A checkpoint in, an evaluation report out."""

from kfp import dsl

from components import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    checkpoint: str,
    preset: str,
    settings: list,
    store: str,
    metrics: dsl.Output[dsl.Metrics],
    table: dsl.Output[dsl.Markdown],
) -> str:
    """Measure a checkpoint and the model it came from on the same items, which training never saw.

    Args:
        checkpoint: Reference of the checkpoint, checkpoints/DIGEST.
        preset: Named settings; `spice config presets` lists them.
        settings: More settings as a JSON list, such as ["evaluation.cloze_items=400"]; they win over the preset.
        store: Where everything goes: s3://bucket/prefix. Empty: the store that the platform was installed with.
        metrics: Rates per suite, for comparing runs.
        table: Every suite with its n, both rates and the difference with its interval.

    Returns:
        Reference of the evaluation report, evaluations/DIGEST.
    """
    from spice import stages
    from spice.kubeflow import artifacts, inputs, outcome
    from spice.kubeflow.progress import Log

    config = inputs.configure(preset, settings, store)
    found = stages.evaluate(checkpoint, None, None, config, None, progress=Log())
    if config.evaluation.coevolution_documents:
        stages.coevolve(found.report["run"], config, progress=Log())
    artifacts.log_metrics(metrics, outcome.evaluation_metrics(found.report))
    artifacts.write(table, outcome.evaluation_table(found.report))
    for artifact in (metrics, table):
        artifact.metadata.update({"evaluation": found.ref, "checkpoint": checkpoint})
    return found.ref
