"""How a job ended in, a record of it out; the exit handler of the pipelines that train."""

from kfp import dsl

from components import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def record_outcome(
    name: str,
    run: str,
    job: str,
    recipe: str,
    preset: str,
    settings: list,
    store: str,
    status: dsl.PipelineTaskFinalStatus,
    summary: dsl.Output[dsl.Markdown],
) -> str:
    """Record how the pipeline job ended, whatever happened, and close the run.

    Args:
        name: Name of the dataset, for the names of runs.
        run: Name of the run. Empty: made of the dataset's name and the job's id.
        job: Id of the pipeline job.
        recipe: The recipe, if the form names one: then the run's name ends in it.
        preset: Named settings; `spice config presets` lists them.
        settings: More settings as a JSON list.
        store: Where everything lies: s3://bucket/prefix. Empty: the store that the platform was installed with.
        status: How the tasks before this one ended; Kubeflow fills it in.
        summary: The run in a few lines.

    Returns:
        State of the job, such as SUCCEEDED or FAILED.
    """
    from spice.kubeflow import artifacts, inputs, outcome
    from spice.store import open_store

    config = inputs.configure(preset, settings, store)
    opened = open_store(config.store)
    this = inputs.run_name(run, name, job, recipe)
    ended = {"state": status.state, "task": status.pipeline_task_name, "error": status.error_message}
    summary.metadata.update(outcome.record(opened, this, job, ended))
    artifacts.write(summary, outcome.summary(opened, this))
    return status.state
