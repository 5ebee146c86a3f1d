"""From configuration to a launcher."""

from __future__ import annotations

from spice.config import Config
from spice.kubeflow.launcher import Launcher, ThisProcess


def open_launcher(config: Config) -> Launcher:
    """The launcher that `config.kubeflow.launcher` names."""
    if config.kubeflow.launcher == "trainjob":
        # Only those who create TrainJobs need a Kubernetes client.
        from spice.kubeflow.cluster import Cluster
        from spice.kubeflow.trainjob import TrainJobs

        return TrainJobs(Cluster.open())
    return ThisProcess()
