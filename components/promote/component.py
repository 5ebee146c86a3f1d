"""An approved request in, the live checkpoint out."""

from kfp import dsl

from components import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def promote(
    request: str, releaser: str, preset: str, settings: list, store: str, release: dsl.Output[dsl.Model]
) -> str:
    """Make the checkpoint of an approved request live. Verifies everything itself; repeated, it changes nothing.

    Args:
        request: Reference of the request, requests/DIGEST.
        releaser: Whose registered key signs the release; it needs the role releaser.
        preset: Named settings; the preset that the request was made with.
        settings: More settings as a JSON list; those of promotion must be the ones that the request was made with.
        store: Where everything lies: s3://bucket/prefix. Empty: the store that the platform was installed with.
        release: The checkpoint that is live now.

    Returns:
        Reference of the live checkpoint, checkpoints/DIGEST.
    """
    from datetime import UTC, datetime

    from spice import stages
    from spice.kubeflow import artifacts, inputs
    from spice.store import open_store

    config = inputs.configure(preset, settings, store)
    opened = open_store(config.store)
    with inputs.signer(opened, releaser, lambda: datetime.now(UTC)) as signer:
        status = stages.promote(request, config, signer, lambda: datetime.now(UTC))
    live = str(status.live)
    artifacts.describe(release, opened, live, request=request, previous=status.previous, sequence=status.sequence)
    return live
