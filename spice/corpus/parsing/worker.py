"""The process that parses what may be hostile, for `spice.corpus.parsing.parser`.

Run as `python -m spice.corpus.parsing.worker`. The first frame holds the
configuration and is answered once the limits hold. Each further one holds a
list of items and the member after which the first of them goes on. Every event
of an item is answered with a frame, and so is its end.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from typing import BinaryIO

from spice.config import CorpusConfig
from spice.corpus.parsing.frames import read_frame, write_frame
from spice.corpus.parsing.isolation import isolate
from spice.corpus.parsing.messages import ITEM_DONE, READY, to_message
from spice.corpus.parsing.reading import Begun, Event, read_item
from spice.corpus.source import SourceItem


def main() -> None:
    """Answer requests until standard input ends."""
    requests = sys.stdin.buffer
    # Answers go to a descriptor of their own: no library can print among them.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    config = CorpusConfig.model_validate(read_frame(requests))
    isolate(config.parsing.memory_bytes)
    write_frame(answers, READY)
    answers.flush()
    while (request := read_frame(requests)) is not None:
        after = request["after"]
        for number, fields in enumerate(request["items"]):
            resumed = tuple(after) if after is not None and not number else None
            _answer(SourceItem.from_json(fields), config, resumed, answers)


def _answer(item: SourceItem, config: CorpusConfig, after: tuple[int, ...] | None, answers: BinaryIO) -> None:
    for event in _timed(read_item(item, config, after), config.parsing.seconds):
        write_frame(answers, to_message(event))
        if isinstance(event, Begun):
            answers.flush()  # if the member ends this process, the other side knows which it was
    write_frame(answers, ITEM_DONE)
    answers.flush()


def _timed(events: Iterator[Event], seconds: float) -> Iterator[Event]:
    """The events, each of which may take so much processor time.

    SIGPROF keeps its default action: it also ends a process that is stuck in
    C code. Processor time, so that a busy machine loses no document.
    """
    while True:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        event = next(events, None)
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        if event is None:
            return
        yield event


if __name__ == "__main__":
    main()
