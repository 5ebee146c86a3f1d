"""SPICE on Kubeflow: what the components share, the pipelines' compiler and client, and training in a TrainJob."""
