"""Has anything changed? Made to recur."""

from kfp import dsl

from components.drift_check.component import drift_check
from spice.kubeflow.placement import place


@dsl.pipeline(name="drift", description="Tell whether documents, posed tasks or the gateway's traffic have changed.")
def drift(
    reference: str,
    current: str,
    preset: str = "qwen3-4b",
    settings: list = [],  # noqa: B006 kfp compiles defaults and never calls this with them
    store: str = "",
) -> None:
    """Compare what is with what was, and store the report; the exporter shows it to Prometheus.

    Args:
        reference: What was: datasets/NAME[@TAG], runs/RUN or traffic/.
        current: What is, likewise. The same run twice: its first iterations against its last.
        preset: Named settings.
        settings: More settings as a JSON list, such as ["drift.false_alarm_rate=0.01"].
        store: Where everything lies: s3://bucket/prefix. Empty: the store that the platform was installed with.
    """
    task = drift_check(reference=reference, current=current, preset=preset, settings=settings, store=store)
    place(task, "evaluate", memory="8Gi", repeatable=True)
