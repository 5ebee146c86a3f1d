"""The process that runs model-written programs, each in a child of its own that can do nothing but compute.

Run as `python -P -s -S sandbox.py SECONDS BYTES` in an empty folder, by
`spice.selfplay.executor`. One JSON line in, `{"program": ..., "inputs": [...]}`;
one JSON line out, `{"outputs": [...]}` or `{"error": ...}`. A first line says that
the isolation was tried out and holds (`"ready"`), or where it does not.

A child is forked for each program. It has no open file but the pipe for its
result, no more memory or time than it is given, an empty root folder where the
kernel lets us, and a filter of system calls that leaves it nothing else to do.
What is checked in the program's text is no wall: it turns away early what would
be ended later.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MAX_PROGRAM_CHARS = 4000
MAX_REPLY_BYTES = 65536
MODULES = ("math", "itertools", "functools", "collections", "re", "heapq", "bisect", "fractions")
BUILTINS = (
    "abs all any ascii bin bool chr complex dict divmod enumerate filter float frozenset hex int isinstance "
    "issubclass iter len list map max min next oct ord pow range repr reversed round set slice sorted str sum tuple "
    "zip ArithmeticError AssertionError Exception IndexError KeyError LookupError NotImplementedError OverflowError "
    "RecursionError RuntimeError StopIteration TypeError ValueError ZeroDivisionError"
).split()
# Wall time over processor time. No child can wait for anything, so this only allows for a busy machine.
WALL_FACTOR = 10.0
# Each of these must end its process, or no program is run here at all.
PROBES: dict[str, Callable[[], object]] = {
    "open a file": lambda: os.open("/", os.O_RDONLY),
    "make a socket": socket.socket,
    "start a process": os.fork,
    "signal a process": lambda: os.kill(os.getpid(), 0),
    "run a command": lambda: os.execv("/bin/true", ["true"]),
}


def main(seconds: float, memory: int) -> None:
    """Serve programs until standard input ends.

    Args:
        seconds: processor time of one program, all its inputs together.
        memory: bytes of address space that a program may take, besides what this process has.
    """
    runner = Runner(seconds, memory)
    fault = runner.fault()
    print(json.dumps(fault or "ready"), flush=True)
    for line in sys.stdin if not fault else ():
        job = json.loads(line)
        print(json.dumps(runner.run(job["program"], job["inputs"])), flush=True)


class Runner:
    """Forks a child for each program."""

    def __init__(self, seconds: float, memory: int) -> None:
        """Load all that a child may need, since it can load nothing itself."""
        self._seconds = seconds
        self._modules = {name: importlib.import_module(name) for name in MODULES}
        # By its folder, because this process does not know the package that it is part of.
        sys.path.insert(0, str(Path(__file__).resolve().parent))
        seccomp = importlib.import_module("seccomp")
        sys.path.pop(0)
        self._filter = seccomp.Filter() if seccomp.supported() else None
        pages = int(Path("/proc/self/statm").read_text().split()[0]) if self._filter else 0
        self._memory = pages * resource.getpagesize() + memory

    def fault(self) -> str:
        """Where the isolation gives way, found by trying, or "" if it holds."""
        if self._filter is None:
            return f"there is no system-call filter for this machine ({sys.platform})"
        if self._child(lambda: "here") != b"here":
            return "not even a harmless program ends well in it"
        for what, attempt in PROBES.items():
            if self._child(lambda attempt=attempt: repr(attempt())) is not None:  # type: ignore[misc]
                return f"a program in it can {what}"
        return ""

    def run(self, program: str, inputs: list[str]) -> dict[str, Any]:
        """Run a program's `f` on every input."""
        data = self._child(lambda: json.dumps(evaluate(program, inputs, self._modules)))
        if data is None:
            return {"error": "it was ended: too much time, memory or output, or something that no program here may do"}
        return dict(json.loads(data))

    def _child(self, compute: Callable[[], str]) -> bytes | None:
        """What `compute` returns in a child, or `None` if the child did not come to its end."""
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._compute(compute, writing)
        os.close(writing)
        data = _read(reading, self._seconds * WALL_FACTOR)
        os.close(reading)
        os.kill(pid, signal.SIGKILL) if data is None else None
        _, status = os.waitpid(pid, 0)
        return data if status == 0 else None

    def _compute(self, compute: Callable[[], str], writing: int) -> None:
        """The child's whole life. However it goes wrong, it must not go on as a copy of its parent."""
        status = 1
        try:
            self._lock(writing)
            reply = compute().encode()
            if len(reply) <= MAX_REPLY_BYTES:
                os.write(1, reply)
                status = 0
        finally:
            os._exit(status)

    def _lock(self, writing: int) -> None:
        os.dup2(writing, 1)
        os.close(0)
        os.close(2)
        os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        if os.geteuid() == 0:
            os.chroot(".")
        for limit, value in (
            (resource.RLIMIT_AS, self._memory),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_NPROC, 0),
            (resource.RLIMIT_NOFILE, 2),
        ):
            resource.setrlimit(limit, (value, value))
        # SIGPROF keeps its default action, which ends the process also inside C code.
        signal.setitimer(signal.ITIMER_PROF, self._seconds)
        assert self._filter is not None
        self._filter.install()


def evaluate(program: str, inputs: list[str], modules: dict[str, Any]) -> dict[str, Any]:
    """Run `f` of a program on each of its inputs. Only for a process that is locked.

    Returns:
        `{"outputs": [...]}`, literals in canonical form, or `{"error": ...}`.
    """
    try:
        tree = ast.parse(program[: MAX_PROGRAM_CHARS + 1])
        if fault := _fault(program, tree):
            return {"error": fault}
        allowed = {name: getattr(builtins, name) for name in BUILTINS}
        space: dict[str, Any] = {"__builtins__": allowed | {"__import__": _importer(modules), "print": _silent}}
        exec(compile(tree, "<program>", "exec"), space)
        return {"outputs": [canonical(space["f"](*_arguments(text))) for text in inputs]}
    # A program may raise anything. All of it means the same: there is no output.
    except Exception as error:
        return {"error": type(error).__name__[:80]}


def canonical(value: object, depth: int = 0) -> str:
    """A literal in the one form in which outputs are compared: exact types, dictionaries in order of their keys.

    Raises:
        TypeError: it is no literal, so that it cannot be written down.
    """
    if depth > 20:
        raise TypeError("nested too deep")
    kind = type(value)
    if kind in (int, float, bool, str, type(None)):
        text = repr(value)
        if kind is str and " at 0x" in text:
            raise TypeError("a memory address is no output")
        return text
    if kind in (list, tuple):
        parts = [canonical(item, depth + 1) for item in value]  # type: ignore[attr-defined]
        inside = ", ".join(parts)
        return f"[{inside}]" if kind is list else f"({inside}{',' if len(parts) == 1 else ''})"
    if kind is dict:
        pairs = sorted((canonical(k, depth + 1), canonical(v, depth + 1)) for k, v in value.items())  # type: ignore[attr-defined]
        return "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
    raise TypeError("not a literal")


def _fault(program: str, tree: ast.Module) -> str:
    """What a program holds that none needs, or "". Nothing here is random, so no program needs to be run twice."""
    if len(program) > MAX_PROGRAM_CHARS:
        return "it is too long"
    if not any(isinstance(node, ast.FunctionDef) and node.name == "f" for node in tree.body):
        return "it defines no function f"
    return next(filter(None, map(_node_fault, ast.walk(tree))), "")


def _node_fault(node: ast.AST) -> str:
    names = [getattr(node, field, None) for field in ("id", "attr", "name", "arg")]
    if any(isinstance(name, str) and name.startswith("_") for name in names):
        return "it uses a name that begins with an underscore"
    imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    if not set(imported) <= set(MODULES):
        return "it imports what no program here may"
    if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Global | ast.Nonlocal):
        return "it is asynchronous or changes names outside of its functions"
    return ""


def _arguments(text: str) -> tuple[Any, ...]:
    """The arguments of one call, from literals: nothing of them is run."""
    return tuple(ast.literal_eval(f"({text},)")) if text.strip() else ()


def _importer(modules: dict[str, Any]) -> Callable[..., Any]:
    def fetch(name: str, *_: object) -> Any:
        if name not in modules:
            raise ImportError(name)
        return modules[name]

    return fetch


def _silent(*_: object, **__: object) -> None:
    """Stand in for `print`: what is printed is no output."""


def _read(descriptor: int, seconds: float) -> bytes | None:
    """All that is written, or `None` if that takes too long or is too much."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP)
    deadline, data = time.monotonic() + seconds, b""
    while len(data) <= MAX_REPLY_BYTES:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return None
        chunk = os.read(descriptor, MAX_REPLY_BYTES + 1)
        if not chunk:
            return data
        data += chunk
    return None


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
