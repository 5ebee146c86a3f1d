"""Several evaluation reports in, one table out."""

from kfp import dsl

from components import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def compare(evaluations: list, preset: str, settings: list, store: str, table: dsl.Output[dsl.Markdown]) -> str:
    """Put the evaluations of several recipes side by side.

    Args:
        evaluations: References of evaluation reports as a JSON list.
        preset: Named settings; their primary suite orders the table.
        settings: More settings as a JSON list.
        store: Where everything lies: s3://bucket/prefix. Empty: the store that the platform was installed with.
        table: A line per recipe and suite, the best on the primary suite first.

    Returns:
        The recipe with the largest difference on the primary suite.
    """
    from spice.kubeflow import artifacts, comparison, inputs, outcome
    from spice.store import open_store

    config = inputs.configure(preset, settings, store)
    opened = open_store(config.store)
    lines = comparison.compare(opened, evaluations, config.promotion.primary_suite)
    for line in lines:
        outcome.note(opened, line.run, evaluation=line.evaluation)
    artifacts.write(table, comparison.table(lines))
    table.metadata.update({"evaluations": list(evaluations)})
    return lines[0].recipe
