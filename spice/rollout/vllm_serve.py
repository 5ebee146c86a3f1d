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

NAME = "policy"


def command(folder: str, port: int, transfer: str, more: Sequence[str] = ()) -> list[str]:
    """The command line of `vllm serve`.

    Args:
        folder: the model that it begins with.
        port: where it answers.
        transfer: how weights come: "nccl", or "file".
        more: further options; of two that say the same the later one holds.
    """
    return [
        *("vllm", "serve", folder, "--served-model-name", NAME, "--host", "127.0.0.1", "--port", str(port)),
        *("--generation-config", "vllm", "--logprobs-mode", "processed_logprobs"),
        *("--structured-outputs-config", json.dumps({"backend": "guidance"})),
        *("--load-format", "safetensors", "--enable-prefix-caching", "--enable-prompt-tokens-details"),
        *("--worker-extension-cls", "spice.rollout.vllm_worker.WeightFile"),
        *(("--weight-transfer-config", json.dumps({"backend": "nccl"})) if transfer == "nccl" else ()),
        *more,
    ]


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
    _, *arguments = command(options.folder, options.port, options.transfer, more)
    os.execv(sys.executable, [sys.executable, "-m", "vllm.entrypoints.cli.main", *arguments])


if __name__ == "__main__":
    main()
