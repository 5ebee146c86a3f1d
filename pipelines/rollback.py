"""Back to an earlier release. Runs under the same service account as `promote`."""

from kfp import dsl

from components.rollback.component import rollback as go_back
from spice.kubeflow.placement import place


@dsl.pipeline(name="rollback", description="Go back to the release before the live one, or to an earlier one.")
def rollback(
    reason: str,
    to: str = "",
    preset: str = "qwen3-4b",
    settings: list = [],  # noqa: B006 kfp compiles defaults and never calls this with them
    releaser: str = "releaser",
    store: str = "",
) -> None:
    """Go back to an earlier release.

    Args:
        reason: Why, for whoever reads the ledger later.
        to: An earlier release, checkpoints/DIGEST. Empty: the one before the live one.
        preset: Named settings.
        settings: More settings as a JSON list.
        releaser: Whose registered key signs; it needs the role releaser.
        store: Where everything lies: s3://bucket/prefix. Empty: the store that the platform was installed with.
    """
    task = go_back(to=to, reason=reason, releaser=releaser, preset=preset, settings=settings, store=store)
    place(task, "promote", signs=True)
