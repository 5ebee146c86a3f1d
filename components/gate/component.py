"""An evaluation report in, the gate's answer out."""

from kfp import dsl

from components import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def gate(
    evaluation: str,
    requester: str,
    preset: str,
    settings: list,
    store: str,
    answer: dsl.Output[dsl.Markdown],
    report: dsl.Output[dsl.HTML],
) -> str:
    """Ask the gate policy whether a release may be requested, and sign its answer.

    Args:
        evaluation: Reference of the evaluation report, evaluations/DIGEST.
        requester: Whose registered key signs the answer.
        preset: Named settings; `spice config presets` lists them.
        settings: More settings as a JSON list, such as ["promotion.regression_margin=0.02"].
        store: Where everything lies: s3://bucket/prefix. Empty: the store that the platform was installed with.
        answer: The answer with its reasons.
        report: The run's page, with evaluation and answer in it.

    Returns:
        pass, fail or inconclusive; only pass leads to a request.
    """
    from datetime import UTC, datetime

    from spice import stages
    from spice.kubeflow import artifacts, inputs, outcome
    from spice.store import open_store

    config = inputs.configure(preset, settings, store)
    opened = open_store(config.store)
    with inputs.signer(opened, requester, lambda: datetime.now(UTC)) as signer:
        ref, decision = stages.judge(evaluation, config, signer)
    run = outcome.note(opened, decision.facts.run, evaluation=evaluation, decision=ref)
    artifacts.write(answer, outcome.answered(decision))
    artifacts.write(report, outcome.page(opened, run))
    answer.metadata.update({"decision": ref, "evaluation": evaluation, "outcome": decision.outcome})
    return decision.outcome
