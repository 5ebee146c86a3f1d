"""One share of the documents in, a list of what was read out."""

from kfp import dsl

from components import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def read_shard(documents: str, name: str, shard: str, preset: str, settings: list, store: str) -> str:
    """Read one share of the documents into packs in the store; what is known from before is not read again.

    Args:
        documents: Where the documents are: s3://bucket/prefix, a folder that the pod can see, or another source that
            `spice ingest` takes.
        name: Name of the dataset: lower-case letters, digits, dots and dashes.
        shard: Which share of how many, such as 1/4.
        preset: Named settings; `spice config presets` lists them.
        settings: More settings as a JSON list, such as ["corpus.held_out_share=0.3"]; the same for all shares.
        store: Where everything goes: s3://bucket/prefix. Empty: the store that the platform was installed with.

    Returns:
        Reference of the list of what was read, shards/NAME/DIGEST.
    """
    from spice import stages
    from spice.kubeflow import inputs
    from spice.kubeflow.progress import Log

    number, of = map(int, shard.split("/"))
    config = inputs.configure(preset, settings, store)
    return stages.ingest_shard([documents], name, config, number, of, progress=Log())
