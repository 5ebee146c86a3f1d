"""The gateway: an OpenAI-compatible server that answers from the live release, and from nothing else."""
