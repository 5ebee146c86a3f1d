"""Arms side by side: one process each, as many at a time as there are cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from multiprocessing.queues import SimpleQueue

from spice.arena.arm import Arm, configuration, play
from spice.arena.results import ArmResult
from spice.config import StoreConfig
from spice.training.loop import Progress
from spice.training.stopping import terminable

_TERMINATED = 128 + signal.SIGTERM
_POLL_S = 0.5
_queue: SimpleQueue[tuple[int, int, str, str]] | None = None
_interrupted = False


def play_all(arms: Sequence[Arm], store: StoreConfig, jobs: int | None, progress: Progress) -> list[ArmResult]:
    """Play every arm; finished ones are only read, begun ones go on where they were stopped.

    An interruption reaches every process, by Ctrl-C, by SIGTERM or by this process's death: each saves its state first.

    Args:
        arms: what to play.
        store: where runs and results lie.
        jobs: processes at a time; all cores if `None`.
        progress: told of the iterations of all arms together.

    Returns:
        The results, in the order of the arms.
    """
    lengths = [configuration(arm, store).training.iterations for arm in arms]
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    done = [0] * len(arms)
    with ProcessPoolExecutor(_workers(jobs, len(arms)), context, _begin, (queue,)) as pool:
        futures = [pool.submit(_play, index, arm, store) for index, arm in enumerate(arms)]
        pending: set[Future[ArmResult]] = set(futures)
        try:
            with terminable(_end_arms):
                while pending:
                    finished, pending = wait(pending, timeout=_POLL_S)
                    note = _drain(queue, arms, done)
                    for index, future in enumerate(futures):
                        if future in finished:
                            future.result()
                            done[index] = lengths[index]
                    if note or finished:
                        progress(sum(done), sum(lengths), "arena", note)
        except BaseException:
            # Arms that have not begun are not worth waiting for; those under way end by themselves or were told to.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _workers(jobs: int | None, arms: int) -> int:
    return max(1, min(jobs or os.cpu_count() or 1, arms))


def _drain(queue: SimpleQueue[tuple[int, int, str, str]], arms: Sequence[Arm], done: list[int]) -> str:
    """Take up what the processes said; returns words on the last of it."""
    note = ""
    while not queue.empty():
        index, iteration, what, said = queue.get()
        done[index] = iteration if what == "train" else done[index]
        note = f"{arms[index].recipe} s{arms[index].seed}: {what} {iteration}{', ' + said if said else ''}"
    return note


def _end_arms() -> None:
    # A terminal sends Ctrl-C to every process, but who sends SIGTERM means us all and names one.
    for child in multiprocessing.active_children():
        child.terminate()


def _begin(queue: SimpleQueue[tuple[int, int, str, str]]) -> None:
    global _queue  # noqa: PLW0603  a queue can be handed to a worker only while it is born
    _queue = queue
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _play(index: int, arm: Arm, store: StoreConfig) -> ArmResult:
    global _interrupted  # noqa: PLW0603  the pool hands out a few arms ahead, and cannot take them back
    if _interrupted:
        raise KeyboardInterrupt

    def progress(done: int, total: int, what: str, note: str = "") -> None:
        del total
        if _queue is not None:
            _queue.put((index, done, what, note))

    try:
        return play(arm, store, progress)
    except KeyboardInterrupt:
        _interrupted = True
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            os._exit(_TERMINATED)  # the pool would wait for work that nobody is left to give
        raise
