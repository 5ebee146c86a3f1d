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
    """Read a policy with facts or with tests; write `{"gate": ...}`, `{"tests": ...}` or `{"error": ...}`."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    given = json.load(sys.stdin)
    try:
        answer: dict[str, object]
        if "tests" in given:
            answer = {"tests": run_tests(given["policy"], given["tests"])}
        else:
            answer = {"gate": evaluate(given["policy"], given["facts"])}
    except (RegoError, ValueError) as error:
        answer = {"error": str(error)}
    with answers:
        json.dump(answer, answers)


def evaluate(policy: str, facts: object) -> object:
    """The package `gate` of `policy` with `facts` as its input, or `None` if there is no such package."""
    return query("data.gate", facts, policy)


def run_tests(policy: str, tests: str) -> dict[str, bool]:
    """For each member of `inputs` in the package `gate_test`: whether `test_<name>` holds with that input.

    The keyword `with`, with which Rego's tests usually set their input, crashes this engine.
    """
    package = query("data.gate_test", {}, policy, tests)
    inputs = package.get("inputs") if isinstance(package, dict) else None
    if not isinstance(inputs, dict) or not inputs:
        raise ValueError("the tests are no package gate_test with an object of inputs")
    results = {}
    for name, facts in inputs.items():
        answer = query("data.gate_test", facts, policy, tests)
        results[name] = isinstance(answer, dict) and answer.get(f"test_{name}") is True
    return results


def query(what: str, facts: object, *modules: str) -> object:
    """What a query gives with `facts` as the input, or `None` if it is undefined."""
    interpreter = Interpreter()
    for number, module in enumerate(modules):
        interpreter.add_module(f"{number}.rego", module)
    # As text: `set_input` would round every number to six decimals.
    interpreter.set_input_term(json.dumps(facts, ensure_ascii=False))
    # Whole packages: a rule queried alone cannot tell false from undefined.
    output = interpreter.query(what)
    text = str(output)
    if not output.ok():
        raise ValueError(text)
    return None if text == "undefined" else json.loads(text)["expressions"][0]


if __name__ == "__main__":
    main()
