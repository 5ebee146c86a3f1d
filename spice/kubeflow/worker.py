"""What the pod of a TrainJob runs: `torchrun -m spice.kubeflow.worker CORPUS RUN CONFIG`.

The same command begins a run and goes on with it, so that whoever restarts the pod need not know which. The reason of
a failure is left where Kubernetes looks for a container's last words.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from spice.config import Config
from spice.errors import ConfigError, RefusedError, SpiceError
from spice.kubeflow.launcher import ThisProcess, continued, has_begun
from spice.kubeflow.progress import Log
from spice.store import open_store

_LAST_WORDS = Path("/dev/termination-log")
_STOPPED = 143  # as if SIGTERM had ended the process: an interruption and no failure


def main(argv: Sequence[str], last_words: Path = _LAST_WORDS) -> int:
    """Train.

    Args:
        argv: reference of the dataset version, name of the run, configuration as JSON.
        last_words: where Kubernetes reads why a container ended; it is there in every pod.

    Returns:
        The exit code: 0 trained, 143 stopped by SIGTERM with everything kept, else that of the `SpiceError`.
    """
    try:
        corpus, run, settings = argv
        config = _config(settings)
        _require_its_models(corpus, config, run)
        ThisProcess().train(corpus, config, run, progress=Log())
    except KeyboardInterrupt:
        print("stopped; the run goes on from here when it is started again", flush=True)
        return _STOPPED
    except SpiceError as error:
        print(f"spice: {error}", file=sys.stderr, flush=True)
        if last_words.exists():
            last_words.write_text(str(error))
        return error.exit_code
    return 0


def _config(text: str) -> Config:
    try:
        return Config.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(
            "The configuration in the TrainJob's arguments is not valid; is its image of the same version as the "
            f"component's? {error}"
        ) from error


def _require_its_models(corpus: str, config: Config, run: str) -> None:
    """Kubernetes admitted the models in the arguments; a run that goes on keeps its own: the same ones?"""
    store = open_store(config.store)
    if not has_begun(store, run):
        return
    begun = _models(continued(store, run, corpus, config))
    if begun != _models(config):
        raise RefusedError(
            f"The run {run} began with the models {begun}, but this TrainJob was admitted with {_models(config)}. "
            "Give what is trained here another run name."
        )


def _models(config: Config) -> tuple[str, str | None, str | None]:
    return config.model.name, config.model.revision, config.recipe.challenger_model


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
