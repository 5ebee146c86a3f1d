"""Evaluates one Rego policy in a process of its own: standard input to standard output.

The engine is native code that some policies crash or hang, and it writes its
own messages to standard output. Run as a script, with nothing of SPICE
imported, so that it starts at once.
"""

import json
import os
import sys

from regopy import Interpreter, RegoError


def main() -> None:
    """Read `{"policy", "facts"}`; write `{"gate": ...}` or `{"error": ...}`."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    given = json.load(sys.stdin)
    try:
        answer = {"gate": evaluate(given["policy"], given["facts"])}
    except (RegoError, ValueError) as error:
        answer = {"error": str(error)}
    with answers:
        json.dump(answer, answers)


def evaluate(policy: str, facts: object) -> object:
    """The package `gate` of `policy` with `facts` as its input, or `None` if there is no such package."""
    interpreter = Interpreter()
    interpreter.add_module("policy.rego", policy)
    # As text: `set_input` would round every number to six decimals.
    interpreter.set_input_term(json.dumps(facts, ensure_ascii=False))
    # The whole package: a rule queried alone cannot tell false from undefined.
    output = interpreter.query("data.gate")
    text = str(output)
    if not output.ok():
        raise ValueError(text)
    return None if text == "undefined" else json.loads(text)["expressions"][0]


if __name__ == "__main__":
    main()
