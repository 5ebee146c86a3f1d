"""A reason in, the release before the live one out."""

from kfp import dsl

from components import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def rollback(
    to: str, reason: str, releaser: str, preset: str, settings: list, store: str, summary: dsl.Output[dsl.Markdown]
) -> str:
    """Go back to the release before the live one, or to an earlier one.

    Args:
        to: An earlier release, checkpoints/DIGEST. Empty: the one before the live one.
        reason: Why, for whoever reads the ledger later.
        releaser: Whose registered key signs; it needs the role releaser.
        preset: Named settings; `spice config presets` lists them.
        settings: More settings as a JSON list.
        store: Where everything lies: s3://bucket/prefix. Empty: the store that the platform was installed with.
        summary: What is live now.

    Returns:
        Reference of the live checkpoint, or the word nothing.
    """
    from datetime import UTC, datetime

    from spice import stages
    from spice.kubeflow import artifacts, inputs
    from spice.store import open_store

    config = inputs.configure(preset, settings, store)
    with inputs.signer(open_store(config.store), releaser, lambda: datetime.now(UTC)) as signer:
        status = stages.rollback(to or None, reason, config, signer, lambda: datetime.now(UTC))
    live = status.live or "nothing"
    artifacts.write(summary, f"# Rolled back\n\nLive: `{live}` (ledger entry {status.sequence})\n\nReason: {reason}\n")
    summary.metadata.update({"live": live, "sequence": status.sequence})
    return live
