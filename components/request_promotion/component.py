"""An evaluation report that the gate passed in, a request for release out."""

from kfp import dsl

from components import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def request_promotion(
    evaluation: str, requester: str, preset: str, settings: list, store: str, summary: dsl.Output[dsl.Markdown]
) -> str:
    """Ask people to approve the release of an evaluated checkpoint. Refused unless the gate passes it.

    Nothing waits for them: the task ends, and the pipeline `promote` goes on once they have answered.

    Args:
        evaluation: Reference of the evaluation report, evaluations/DIGEST.
        requester: Whose registered key signs the request; this person cannot approve it.
        preset: Named settings; `spice config presets` lists them.
        settings: More settings as a JSON list; those of promotion must be the ones that promote runs with.
        store: Where everything lies: s3://bucket/prefix. Empty: the store that the platform was installed with.
        summary: What was requested, and what to do next.

    Returns:
        Reference of the request, requests/DIGEST.
    """
    from datetime import UTC, datetime

    from spice import stages
    from spice.errors import RefusedError
    from spice.kubeflow import artifacts, inputs, outcome
    from spice.store import open_store

    config = inputs.configure(preset, settings, store)
    opened = open_store(config.store)
    decision = stages.decide(evaluation, config)
    with inputs.signer(opened, requester, lambda: datetime.now(UTC)) as signer:
        judged, request = stages.request_promotion(decision, config, signer, lambda: datetime.now(UTC))
    if request is None:
        raise RefusedError(f"The gate did not pass {evaluation}: {' '.join(decision.reasons)}")
    outcome.note(opened, decision.facts.run, decision=judged, request=request)
    artifacts.write(summary, outcome.requested(request, decision, config.promotion.approvals))
    summary.metadata.update({"request": request, "decision": judged, "evaluation": evaluation})
    return request
