"""Kubeflow components: each a thin wrapper around one function of `spice.stages`.

A component takes references and settings as text, calls its stage, and returns a reference. Its artifacts show in the
Kubeflow UI what the reference stands for; the digest is in their metadata.
"""

from spice.version import __version__

# Replaced by the image that is really used when a pipeline is uploaded: `spice pipeline upload --image`.
IMAGE = f"spice:{__version__}"
