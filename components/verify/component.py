"""A request in; whoever approved it out, if it may be promoted."""

from kfp import dsl

from components import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def verify(request: str, preset: str, settings: list, store: str, approvals: dsl.Output[dsl.Markdown]) -> str:
    """Check gate, approvals and kill-switch for a request; fails, and says why, if one of them says no.

    Args:
        request: Reference of the request, requests/DIGEST.
        preset: Named settings; the preset that the request was made with.
        settings: More settings as a JSON list; those of promotion must be the ones that the request was made with.
        store: Where everything lies: s3://bucket/prefix. Empty: the store that the platform was installed with.
        approvals: Who approved.

    Returns:
        The request, to be promoted.
    """
    from datetime import UTC, datetime

    from spice import stages
    from spice.kubeflow import artifacts, inputs

    config = inputs.configure(preset, settings, store)
    approvers = stages.verify_promotion(request, config, lambda: datetime.now(UTC))
    artifacts.write(
        approvals, f"# {request} may be promoted\n\nApproved by: {', '.join(approvers) or 'nobody (0 asked)'}\n"
    )
    approvals.metadata.update({"request": request, "approvers": list(approvers)})
    return request
