"""What `torchrun` starts on behalf of `spice train --ranks N`: `python -m spice.rank FOLDER`.

The folder says what to do, and this process leaves there how it fares; see `spice.training.launch`.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from spice import stages
from spice.errors import SpiceError
from spice.training.heartbeat import Heart
from spice.training.job import Ending, Job, Step


def main(folder: Path) -> int:
    """Train as one of several ranks.

    Returns:
        The exit code: 0 trained, 130 stopped as asked, else that of the `SpiceError`.
    """
    from spice.learner.ranks import LostRankError

    rank = int(os.environ["RANK"])
    job = Job.read(folder)

    def progress(done: int, total: int, what: str, note: str = "") -> None:
        if rank == 0:
            Step(done=done, total=total, what=what, note=note).append(folder)

    with Heart(folder, rank, job.parent) as heart:
        try:
            trained = stages.train(
                job.corpus,
                job.config,
                job.run,
                resume=job.resume,
                from_iteration=job.from_iteration,
                progress=progress,
                waiting=heart.waiting,
            )
        except KeyboardInterrupt:
            Ending(at=time.time(), interrupted=True).write(folder, rank)
            return 130
        except SpiceError as error:
            print(f"spice: {error}", file=sys.stderr, flush=True)
            Ending.of(error, time.time(), peers_gone=isinstance(error, LostRankError)).write(folder, rank)
            return error.exit_code
        Ending(at=time.time(), base=trained.base, checkpoints=trained.checkpoints).write(folder, rank)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
