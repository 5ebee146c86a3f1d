"""Kubeflow pipelines built from `components`; `spice pipeline compile` writes them to `pipelines/compiled`."""
