"""Documents to a dataset version, read on several machines at a time."""

from kfp import dsl

from components.merge_shards.component import merge_shards
from components.read_shard.component import read_shard
from spice.kubeflow.placement import place, returned


@dsl.pipeline(
    name="ingest-sharded",
    description="Read documents on several machines and write the dataset version that one machine would have written.",
)
def ingest_sharded(
    documents: str,
    name: str = "documents",
    shards: list = ["1/4", "2/4", "3/4", "4/4"],  # noqa: B006 kfp compiles defaults and never calls this with them
    preset: str = "qwen3-4b",
    settings: list = [],  # noqa: B006 likewise
    cpu: str = "4",
    memory: str = "8Gi",
    store: str = "",
) -> None:
    """Read each share of the documents in a pod of its own, then compare all documents and write the version.

    Args:
        documents: Where the documents are: s3://bucket/prefix, a folder that all pods can see, or another source that
            `spice ingest` takes.
        name: Name of the dataset: lower-case letters, digits, dots and dashes.
        shards: The shares as a JSON list, such as ["1/2", "2/2"]: each is read in a pod of its own.
        preset: Named settings; its model says whose tokens are counted.
        settings: More settings as a JSON list, such as ["corpus.held_out_share=0.3"]; they win over the preset.
        cpu: Cores of the pods that read; each core reads by itself.
        memory: Memory of each pod.
        store: Where everything goes: s3://bucket/prefix. Empty: the store that the platform was installed with.
    """
    common = {"name": name, "preset": preset, "settings": settings, "store": store}
    with dsl.ParallelFor(shards, name="each-shard", parallelism=16) as shard:
        read = place(
            read_shard(documents=documents, shard=shard, **common), "ingest", cpu=cpu, memory=memory, repeatable=True
        )
    place(merge_shards(shards=dsl.Collected(returned(read)), **common), "ingest", memory=memory, repeatable=True)
