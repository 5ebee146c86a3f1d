"""What was and what is in, whether they differ out."""

from kfp import dsl

from components import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def drift_check(
    reference: str,
    current: str,
    preset: str,
    settings: list,
    store: str,
    metrics: dsl.Output[dsl.Metrics],
    table: dsl.Output[dsl.Markdown],
) -> str:
    """Tell whether documents, posed tasks or the gateway's traffic have changed.

    Args:
        reference: What was: datasets/NAME[@TAG], runs/RUN or traffic/.
        current: What is, likewise. The same run twice: its first iterations against its last.
        preset: Named settings; `spice config presets` lists them.
        settings: More settings as a JSON list, such as ["drift.false_alarm_rate=0.01"].
        store: Where everything lies: s3://bucket/prefix. Empty: the store that the platform was installed with.
        metrics: The value of every test.
        table: Every test with its value, its threshold and its p-value.

    Returns:
        drifted or stable.
    """
    from spice import stages
    from spice.kubeflow import artifacts, inputs, outcome

    found = stages.drift_check(reference, current, inputs.configure(preset, settings, store))
    artifacts.log_metrics(metrics, {f"{one.feature}_{one.statistic}": one.value for one in found.report.tests})
    artifacts.write(table, outcome.drift_table(found.report))
    for artifact in (metrics, table):
        artifact.metadata.update({"drift": found.ref, "reference": reference, "current": current})
    return "drifted" if found.report.drifted else "stable"
