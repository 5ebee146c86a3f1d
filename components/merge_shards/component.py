"""What all shares read in, a dataset version out."""

from kfp import dsl

from components import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def merge_shards(
    shards: list, name: str, preset: str, settings: list, store: str, dataset: dsl.Output[dsl.Dataset]
) -> str:
    """Compare all documents and write the dataset version, the same as one machine would have written.

    Args:
        shards: References of what was read, shards/NAME/DIGEST, one for each share.
        name: Name of the dataset: lower-case letters, digits, dots and dashes.
        preset: Named settings; the preset that the shares were read with.
        settings: More settings as a JSON list; those that the shares were read with.
        store: Where everything goes: s3://bucket/prefix. Empty: the store that the platform was installed with.
        dataset: The dataset version; its metadata hold its reference, its digest and what was counted.

    Returns:
        Reference of the dataset version, datasets/NAME/DIGEST.
    """
    from spice import stages
    from spice.kubeflow import artifacts as kubeflow
    from spice.kubeflow import inputs
    from spice.kubeflow.progress import Log
    from spice.store import open_store

    config = inputs.configure(preset, settings, store)
    report = stages.merge_shards(shards, name, config, progress=Log())
    kubeflow.describe(dataset, open_store(config.store), report.ref, counts=report.counts)
    return report.ref
