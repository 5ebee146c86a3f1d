"""A dataset version in; the checkpoint to go on from out, if the version brings anything new."""

from kfp import dsl

from components import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def continue_from(corpus: str, preset: str, settings: list, store: str) -> str:
    """Find the checkpoint that training goes on from: the live release, else the newest one trained on this dataset.

    Args:
        corpus: Reference of the dataset version, datasets/NAME/DIGEST.
        preset: Named settings; their model is where the very first training begins.
        settings: More settings as a JSON list.
        store: Where everything lies: s3://bucket/prefix. Empty: the store that the platform was installed with.

    Returns:
        Reference of the checkpoint or name of the model; unchanged if the newest training had these very documents.
    """
    from spice.kubeflow import inputs, lineage
    from spice.store import open_store

    config = inputs.configure(preset, settings, store)
    return lineage.start(open_store(config.store), corpus, config.model.name)
