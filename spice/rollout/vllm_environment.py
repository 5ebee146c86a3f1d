"""What vLLM reads from the environment, some of it when it is first imported."""

from __future__ import annotations

import os

_SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine core in this process, where new weights are
    "VLLM_USE_V2_MODEL_RUNNER": "0",  # the runner whose logits processors know the tokens drawn before
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # its threads are the learner's, too
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}


def prepare() -> None:
    """Set what is not set. To be called before vLLM is imported."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
