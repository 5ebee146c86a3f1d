"""An approved request to a live checkpoint. Runs under a service account of its own."""

from kfp import dsl

from components.promote.component import promote as make_live
from components.verify.component import verify
from spice.kubeflow.placement import place, returned


@dsl.pipeline(
    name="promote", description="Make the checkpoint of an approved request live, if gate and approvals verify."
)
def promote(
    request: str,
    preset: str = "qwen3-4b",
    settings: list = [],  # noqa: B006 kfp compiles defaults and never calls this with them
    releaser: str = "releaser",
    store: str = "",
) -> None:
    """Verify the gate's decision and the approvals of a request, then release its checkpoint.

    Args:
        request: Reference of the request, requests/DIGEST; the pipeline selfplay shows it.
        preset: Named settings: the preset that the request was made with.
        settings: More settings as a JSON list; those of promotion must be the ones that the request was made with.
        releaser: Whose registered key signs the release.
        store: Where everything lies: s3://bucket/prefix. Empty: the store that the platform was installed with.
    """
    common = {"preset": preset, "settings": settings, "store": store}
    verified = place(verify(request=request, **common), "promote")
    place(make_live(request=returned(verified), releaser=releaser, **common), "promote", signs=True)
