"""Evaluates one Rego policy in a process of its own: standard input to standard output.

The engine is native code that some policies crash or hang. Run as a script,
with nothing of SPICE imported, so that it starts at once.
"""

import json
import sys

from regopy import Interpreter, RegoError


def main() -> None:
    """Read `{"policy", "facts"}`; write `{"gate": ...}` or `{"error": ...}`."""
    given = json.load(sys.stdin)
    interpreter = Interpreter()
    try:
        interpreter.add_module("policy.rego", given["policy"])
        interpreter.set_input(given["facts"])
        # The whole package: a rule queried alone cannot tell false from undefined.
        output = interpreter.query("data.gate")
    except RegoError as error:
        json.dump({"error": str(error)}, sys.stdout)
        return
    if not output.ok():
        json.dump({"error": str(output)}, sys.stdout)
        return
    parsed = json.loads(str(output)) if str(output) != "undefined" else {}
    json.dump({"gate": parsed.get("expressions", [None])[0]}, sys.stdout)


if __name__ == "__main__":
    main()
