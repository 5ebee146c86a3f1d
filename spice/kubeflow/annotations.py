"""Annotations of a service account through the Kubernetes API."""

from __future__ import annotations

from collections.abc import Mapping

from kubernetes import client

from spice.kubeflow.cluster import explained, open_client

PREFIX = "spice.platform/"

_CALL_SECONDS = 10


class AccountAnnotations:
    """The annotations of one service account, which must exist; see `spice.kubeflow.mirror.Board`."""

    def __init__(self, api: client.ApiClient, namespace: str, name: str) -> None:
        self._core, self._namespace, self._name = client.CoreV1Api(api), namespace, name

    @classmethod
    def open(cls, name: str) -> AccountAnnotations:
        """Those of `name` in the namespace of this pod, or of KUBECONFIG's context. Raises `ConfigError`."""
        return cls(*open_client(), name)

    def write(self, state: Mapping[str, str]) -> None:
        """As `Board.write`."""
        with explained(f"write the annotations of the service account {self._name}"):
            self._core.patch_namespaced_service_account(
                self._name,
                self._namespace,
                {"metadata": {"annotations": {f"{PREFIX}{key}": value for key, value in state.items()}}},
                field_manager="spice-switch",
                _request_timeout=_CALL_SECONDS,
            )
