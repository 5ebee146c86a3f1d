"""Hostile programs: each is contained, and the process that runs them serves the next one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from spice.errors import RefusedError
from spice.selfplay import sandbox
from spice.selfplay.executor import Executor

pytestmark = pytest.mark.integration
SECONDS = 0.5


@pytest.fixture(scope="module")
def executor():
    if sys.platform != "linux":
        pytest.skip("NO ISOLATION: the executor needs Linux with seccomp")
    with Executor(SECONDS, 128 * 2**20) as executor:
        yield executor


def body(*lines):
    return "def f(x):\n" + "\n".join(f"    {line}" for line in lines)


@pytest.mark.parametrize(
    ("program", "inputs", "outputs"),
    [
        (body("return x * 2"), ["3", "'ab'"], ("6", "'abab'")),
        ("import math\ndef f(a, b): return {'b': math.gcd(a, b), 'a': (1,)}", ["12, 18"], ("{'a': (1,), 'b': 6}",)),
        (body("print('loud')", "return [None, True, 1.5]"), ["0"], ("[None, True, 1.5]",)),
        ("def f(): return 1", [""], ("1",)),
        (body("return sorted(set(x))"), ["'hello'"], ("['e', 'h', 'l', 'o']",)),
    ],
)
def test_harmless_programs_give_their_outputs(executor, program, inputs, outputs):
    assert executor.run(program, inputs) == (outputs, "")


HOSTILE = {
    "fork bomb": "import os\n" + body("while True: os.fork()"),
    "socket": "import socket\n" + body("return socket.socket()"),
    "reads a file": body("return open('/etc/passwd').read()"),
    "kills its parent": "import os\n" + body("os.kill(os.getppid(), 9)"),
    "endless loop": body("while True: pass"),
    "endless loop in C": body("return 9 ** 9 ** 9"),
    "endless match": "import re\n" + body("return re.match('(a+)+$', 'a' * 40 + 'b')"),
    "much memory at once": body("return len('a' * 10 ** 12)"),
    "memory bit by bit": body("kept = []", "while True: kept.append([0] * 10 ** 6)"),
    "huge output": body("return 'a' * 10 ** 7"),
    "subclasses": body("return ().__class__.__base__.__subclasses__()"),
    "its own frame": body("return (i for i in x).gi_frame.f_back.f_globals"),
    "deep recursion": body("return f(x)"),
    "deep brackets": "def f(x): return " + "(" * 900 + "1" + ")" * 900,
    "signal handler": "import signal\n" + body("signal.signal(14, lambda *_: None)", "while True: pass"),
    "swallows everything": body("while True:", "    try: f(x)", "    except: pass"),
    "imports by name": body("return __import__('os').listdir('/')"),
    "evaluates text": body("return eval('1')"),
    "no function": "g = 1",
    "no Python": "def f(",
    "a null byte": "def f(x): return '\0'",
    "an object": body("return f"),
    "an address": body("return str(f)"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_are_contained(executor, name):
    outputs, error = executor.run(HOSTILE[name], ["[1]"])

    assert outputs == () and error
    assert executor.run("def f(x): return x + 1", ["1"]) == (("2",), ""), "the next program is served"


def test_arguments_are_literals_and_nothing_else(executor):
    for text in ("__import__('os').getpid()", "f(1)", "1), (2", "(" * 500):
        assert executor.run("def f(*x): return 1", [text]).error or text == "1), (2"


@pytest.fixture
def locked(monkeypatch, tmp_path):
    """A runner in this process, whose children are locked but whose programs nobody reads first."""
    if sys.platform != "linux":
        pytest.skip("NO ISOLATION: the executor needs Linux with seccomp")
    monkeypatch.chdir(tmp_path)
    return sandbox.Runner(SECONDS, 64 * 2**20)


@pytest.mark.parametrize("what", sandbox.PROBES)
def test_the_wall_holds_whatever_a_program_gets_past_the_checks(locked, what):
    attempt = sandbox.PROBES[what]

    assert locked._child(lambda: repr(attempt())) is None


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: os.setuid(0),
        lambda: Path("/tmp/x").unlink(),
        lambda: Path("/x").mkdir(),
        lambda: list(Path("/").iterdir()),
        os.pipe,
        lambda: __import__("time").sleep(0.01),
        lambda: __import__("ctypes").CDLL(None).ptrace(0, 0, 0, 0),
        lambda: os.kill(1, 9),
    ],
)
def test_no_other_system_call_is_open(locked, attempt):
    assert locked._child(lambda: repr(attempt())) is None


def test_a_sandbox_that_leaks_runs_nothing(monkeypatch, locked):
    monkeypatch.setitem(sandbox.PROBES, "compute", lambda: 1)

    assert locked.fault() == "a program in it can compute"


@pytest.mark.parametrize("greeting", ['"a program in it can open a file"', ""])
def test_without_isolation_nothing_is_run(tmp_path: Path, greeting):
    script = tmp_path / "worker.py"
    script.write_text(f"print({greeting!r}, flush=True)" if greeting else "")
    with (
        Executor(command=[sys.executable, str(script)]) as executor,
        pytest.raises(RefusedError, match="cannot be isolated here, so none is run"),
    ):
        executor.run("def f(x): return x", ["1"])
