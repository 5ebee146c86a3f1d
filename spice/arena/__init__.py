"""Every recipe against the others, on a model and a world small enough for a laptop and known well enough to judge."""
