"""Train in several processes on this machine: start them, watch them, and tell what became of them.

`torchrun` starts the ranks. This process trains nothing. It repeats the progress
of rank 0, passes a wish to stop on, and ends all ranks when one of them dies or
hangs, with that rank's name and its last words.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from spice.config import Config
from spice.errors import ConfigError, TrainingError
from spice.training import heartbeat
from spice.training.job import Ending, Job, Step
from spice.training.stopping import Stopper
from spice.training.watch import Watch

_LOOK = 0.5
_LAST_LINES = 20
_ROOT_CAUSE = re.compile(r"Root Cause.*?\brank\s*: (\d+) .*?\(pid: (\d+)\)", re.DOTALL)  # in torchrun's log
_GRACE = 20.0  # seconds that a rank has to say why it ends after another one ended


class Progress(Protocol):
    """Called with steps done, steps in all, the phase, and a few words on the last step."""

    def __call__(self, done: int, total: int, what: str, note: str = "") -> None:
        """Say how far the work is."""
        ...


def is_rank(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether `torchrun` has started this process as one of several."""
    return int(environ.get("WORLD_SIZE", "1")) > 1


def launch(
    corpus: str,
    config: Config,
    run: str,
    *,
    resume: bool,
    from_iteration: int | None = None,
    progress: Progress,
    clock: Callable[[], float] = time.monotonic,
) -> Ending:
    """Let `training.ranks` processes train a run, and wait for them; see `spice.training.loop.train`.

    Raises:
        TrainingError: a rank died or hung; the message names it and repeats its last lines.
        SpiceError: what the ranks raised, for the same reasons.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the ranks have saved everything done so far.
    """
    _require_gpus(config)
    with tempfile.TemporaryDirectory(prefix="spice-ranks-") as temporary:
        folder = Path(temporary)
        parent = os.getpid()
        Job(corpus=corpus, run=run, config=config, resume=resume, from_iteration=from_iteration, parent=parent).write(
            folder
        )
        with Stopper() as stopper:
            process = _torchrun(folder, config.training.ranks)
            try:
                _follow(process, folder, config, progress, stopper, clock)
            finally:
                _end(process, folder)
        return _outcome(folder, process.returncode)


def _require_gpus(config: Config) -> None:
    """Refuse to put several ranks on one GPU, where there are GPUs. Raises `ConfigError`."""
    import torch

    gpus = torch.cuda.device_count()
    if gpus and config.model.device != "cpu" and config.training.ranks > gpus:
        raise ConfigError(
            f"training.ranks is {config.training.ranks}, and this machine has {gpus} GPUs; each rank takes one. "
            f"Set training.ranks={gpus}; `spice plan` tells whether the model fits then."
        )


def _torchrun(folder: Path, ranks: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    command += ["--log-dir", str(folder / "logs"), "--redirects", "3", "-m", "spice.rank", str(folder)]
    # What another torchrun, or Kubeflow, said to this process is not meant for these ranks.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PET_", "TORCHELASTIC_"))}
    # Else torchrun sets it to 1 and says so; what is meant is a rank's share of the cores.
    environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // ranks)))
    with (folder / "torchrun.log").open("wb") as log:
        # In a session of its own, so that Ctrl-C reaches this process alone, which passes it on.
        return subprocess.Popen(command, stdout=log, stderr=log, env=environ, start_new_session=True)


def _follow(
    process: subprocess.Popen[bytes],
    folder: Path,
    config: Config,
    progress: Progress,
    stopper: Stopper,
    clock: Callable[[], float],
) -> None:
    """Watch until torchrun ends. Raises `TrainingError` when a rank hangs."""
    watch, told, passed_on = Watch(config.training.hang_seconds), 0, False
    running = True
    while running:
        try:
            process.wait(_LOOK)
            running = False
        except subprocess.TimeoutExpired:
            pass
        for step in Step.read(folder, told):
            progress(step.done, step.total, step.what, step.note)
            told += 1
        beats = heartbeat.read(folder)
        if stopper.wanted and not passed_on:
            passed_on = True
            for beat in beats:
                _signal(beat.pid, signal.SIGTERM)
        if running and (hanging := watch.look(beats, clock(), Ending.read(folder))):
            beat, how = hanging
            raise TrainingError(
                f"Rank {beat.rank} (process {beat.pid}) {how}, so all ranks were ended. Go on from the last state with "
                f"--resume. {_last_words(folder, beat.rank)}"
            )


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End torchrun and every rank, also those that are stopped or hang."""
    if process.poll() is None:
        for beat in heartbeat.read(folder):
            _signal(beat.pid, signal.SIGKILL)
        process.terminate()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _outcome(folder: Path, code: int) -> Ending:
    """What the ranks say of their end; whoever said nothing was ended from outside."""
    endings = Ending.read(folder)
    if code == 0 and 0 in endings and endings[0].error is None:
        return endings[0]
    # A rank that only lost its peers says so later than the one that failed.
    failed = sorted((e for e in endings.values() if e.error), key=lambda e: (e.peers_gone, e.at))
    beats = {beat.rank: beat for beat in heartbeat.read(folder)}
    if failed and not failed[0].peers_gone:
        raise failed[0].exception()
    if endings and endings.keys() >= beats.keys() and all(ending.interrupted for ending in endings.values()):
        raise KeyboardInterrupt
    silent = {rank: beat.pid for rank, beat in beats.items() if rank not in endings}
    log = (folder / "torchrun.log").read_text(errors="replace")
    first = _ROOT_CAUSE.search(log)
    if first and int(first[1]) not in endings:
        # The others were then ended by torchrun, perhaps before they could say anything.
        silent = {int(first[1]): int(first[2])}
    if silent:
        rank, pid = min(silent.items())
        raise TrainingError(
            f"Rank {rank} (process {pid}) died without a word, as when the machine runs out of memory or somebody "
            f"kills it. Go on from the last state with --resume. {_last_words(folder, rank)}"
        )
    last = log.splitlines()[-_LAST_LINES:]
    raise TrainingError("\n".join(["The ranks could not be started. What torchrun said last:", *last]))


def _last_words(folder: Path, rank: int) -> str:
    lines = [
        line
        for path in sorted((folder / "logs").glob(f"**/{rank}/std*.log"))
        for line in path.read_text(errors="replace").splitlines()
    ]
    return "\n".join(["Its last lines:", *lines[-_LAST_LINES:]]) if lines else "It had printed nothing."


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
