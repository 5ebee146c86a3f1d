"""Drift statistics, and the exporter that tells Prometheus what the store holds."""
