"""The ladder's computations as programs, so that the recipe `absolute_zero` can be played in the arena.

Its model knows no Python. What it writes is a computation; the program is made
from the operations, and the executor says what it returns. The results that the
model wrote are its own and count for nothing. Only deduction can be asked so.
"""

from __future__ import annotations

from spice.selfplay.ladder import is_reserved, parse_computation
from spice.selfplay.proposals import Proposal


def parse_ladder(text: str) -> tuple[str, Proposal] | str:
    """Read an invented computation.

    Returns:
        The question and the program with its input, or why there is none. Questions kept for the test are refused.
    """
    computation = parse_computation(text)
    if isinstance(computation, str):
        return computation
    if is_reserved(computation.question):
        return "the question is kept for the test"
    steps = "".join(f"    x = ({_python(operation)}) % 10\n" for operation in computation.operations)
    return computation.question, Proposal(f"def f(x):\n{steps}    return x", (computation.start,))


def _python(operation: str) -> str:
    """`3x^3+2` as `3 * x**3 + 2`."""
    power, _, addend = operation.partition("+")
    factor = power.partition("x")[0] or "1"
    return f"{factor} * x{'**3' if power.endswith('^3') else ''} + {addend}"
