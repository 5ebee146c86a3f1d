"""The process that runs Math-Verify, so that hostile expressions hang or crash it and not the caller.

Run as `python -m spice.selfplay.mathworker SECONDS BYTES`: one JSON line in
(`[gold, answer]`), one JSON line out (`true` or `false`), after a first line
that says whether Math-Verify could be loaded (`"ready"`, or the reason).
"""

from __future__ import annotations

import json
import logging
import resource
import signal
import sys


def main(seconds: float, memory: int) -> None:
    """Answer comparisons until standard input ends.

    Args:
        seconds: processor time for one comparison; past it the kernel ends the
            process. Processor time, so that a busy machine does not turn right
            answers into wrong ones and a run stays repeatable.
        memory: most bytes of address space.
    """
    replies = sys.stdout
    sys.stdout = sys.stderr
    logging.disable()
    try:
        # Also loads the parts of sympy that would otherwise count against the first comparison's time.
        _equal("x^2", "2 x")
    except ImportError as error:
        print(json.dumps(str(error)), file=replies, flush=True)
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    print(json.dumps("ready"), file=replies, flush=True)
    for line in sys.stdin:
        gold, answer = json.loads(line)
        # SIGPROF keeps its default action: it also ends a process that is stuck inside C code.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        equal = _equal(gold, answer)
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        print(json.dumps(equal), file=replies, flush=True)


def _equal(gold: str, answer: str) -> bool:
    from math_verify import parse, verify

    # Its own time-outs are Python signal handlers, which C code delays: none is set.
    gold_forms, answer_forms = (parse(f"${text}$", parsing_timeout=None) for text in (gold, answer))
    return bool(verify(gold_forms, answer_forms, timeout_seconds=None))


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
