"""Documents in, a dataset version out."""

from kfp import dsl

from components import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def ingest(documents: str, name: str, preset: str, settings: list, store: str, dataset: dsl.Output[dsl.Dataset]) -> str:
    """Turn documents into an immutable dataset version.

    Args:
        documents: Where the documents are: s3://bucket/prefix on the store's S3 service, a folder that the pod can
            see, or a dataset version that is in the store already (datasets/NAME, datasets/NAME@TAG or
            datasets/NAME/DIGEST), which is then taken as it is.
        name: Name of the dataset: lower-case letters, digits, dots and dashes.
        preset: Named settings; `spice config presets` lists them.
        settings: More settings as a JSON list, such as ["corpus.held_out_share=0.3"]; they win over the preset.
        store: Where everything goes: s3://bucket/prefix. Empty: the store that the platform was installed with.
        dataset: The dataset version; its metadata hold its reference, its digest and what was counted.

    Returns:
        Reference of the dataset version, datasets/NAME/DIGEST.
    """
    from spice import stages
    from spice.kubeflow import artifacts as kubeflow
    from spice.kubeflow import inputs
    from spice.kubeflow.progress import Log
    from spice.store import artifacts, open_store

    config = inputs.configure(preset, settings, store)
    opened = open_store(config.store)
    if documents.startswith("datasets/"):
        ref = artifacts.resolve(opened, documents)
    else:
        with inputs.documents(documents, config) as folder:
            ref = stages.ingest([folder], name, config, progress=Log()).ref
    kubeflow.describe(dataset, opened, ref, counts=artifacts.manifest(opened, ref)["counts"])
    return ref
