"""A ConfigMap through the Kubernetes API."""

from __future__ import annotations

from collections.abc import Mapping

from kubernetes import client

from spice.kubeflow.cluster import explained, open_client

_CALL_SECONDS = 10


class ClusterConfigMap:
    """One ConfigMap, which must exist; see `spice.kubeflow.mirror.ConfigMaps`."""

    def __init__(self, api: client.ApiClient, namespace: str, name: str) -> None:
        self._core, self._namespace, self._name = client.CoreV1Api(api), namespace, name

    @classmethod
    def open(cls, name: str) -> ClusterConfigMap:
        """The one called `name` in the namespace of this pod, or of KUBECONFIG's context. Raises `ConfigError`."""
        return cls(*open_client(), name)

    def write(self, data: Mapping[str, str]) -> None:
        """As `ConfigMaps.write`."""
        with explained(f"write the ConfigMap {self._name}"):
            self._core.patch_namespaced_config_map(
                self._name,
                self._namespace,
                {"data": dict(data)},
                field_manager="spice-switch",
                _request_timeout=_CALL_SECONDS,
            )
