"""Gate policies in Rego: ours, or the user's own, put to the facts."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from spice.errors import RefusedError
from spice.store.canonical import JSON, digest, dumps

Outcome = Literal["pass", "fail", "inconclusive"]

_TIMEOUT = 30.0  # seconds; ours takes a fraction of one


@dataclass(frozen=True)
class Policy:
    """A policy's text and where it came from."""

    source: str
    text: str

    @property
    def name(self) -> str:
        """The file's name without its folder, which may tell of somebody's machine."""
        return Path(self.source).name

    @property
    def digest(self) -> str:
        """SHA-256 of the text."""
        return digest(self.text.encode())


class Answer(BaseModel):
    """What a policy must answer: package `gate` with `outcome` and `reasons`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    outcome: Outcome
    reasons: tuple[str, ...]


def load(path: str | None) -> Policy:
    """The policy in the file `path`, or the built-in one. Raises `RefusedError` if it cannot be read."""
    if path is None:
        return Policy("built-in", resources.files("spice.promotion").joinpath("policy.rego").read_text("utf-8"))
    try:
        return Policy(path, Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"The gate policy {path} cannot be read, so nothing passes: {error}.") from error


def evaluate(policy: Policy, facts: dict[str, JSON]) -> Answer:
    """Put `facts` to `policy`.

    Raises:
        RefusedError: the policy is not valid Rego, crashes, hangs, or answers something else than a gate policy must.
    """
    answer = _run(policy, {"policy": policy.text, "facts": facts})
    if "error" in answer:
        raise RefusedError(f"The gate policy ({policy.source}) is not usable, so nothing passes: {answer['error']}")
    try:
        return Answer.model_validate(answer.get("gate") or {})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise RefusedError(
            f"The gate policy ({policy.source}) gave no answer, so nothing passes: {problems}. It must be package "
            'gate with outcome ("pass", "fail" or "inconclusive") and reasons (a list of sentences).'
        ) from error


def test(policy: Policy, tests: Policy) -> dict[str, bool]:
    """Run unit tests in Rego: package `gate_test` with `inputs` and, for each of them, a rule `test_<name>`.

    Args:
        policy: what is tested.
        tests: the tests; `inputs.<name>` are the facts with which `test_<name>` must be true.

    Returns:
        By name, whether the test holds.

    Raises:
        RefusedError: one of the two is not valid Rego, crashes or hangs, or there are no tests.
    """
    answer = _run(policy, {"policy": policy.text, "tests": tests.text})
    if "error" in answer:
        raise RefusedError(f"The tests {tests.source} of {policy.source} cannot be run: {answer['error']}.")
    return dict(answer["tests"])


def _run(policy: Policy, given: dict[str, JSON]) -> dict[str, Any]:
    worker = Path(__file__).with_name("regoworker.py")
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(worker)],
            input=dumps(given),
            capture_output=True,
            timeout=_TIMEOUT,
            check=True,
        )
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise RefusedError(f"The gate policy ({policy.source}) took over {_TIMEOUT:g} s, so nothing passes.") from error
    except subprocess.CalledProcessError as error:
        if error.returncode > 0:
            reason = (error.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
            raise RefusedError(f"The Rego engine does not work here, so nothing passes: {reason}") from error
        raise RefusedError(
            f"The gate policy ({policy.source}) crashed the Rego engine, so nothing passes. Write it without the "
            f"keyword `with`, which is known to. {error.stderr.decode(errors='replace').strip()[-300:]}"
        ) from error
    except ValueError as error:
        raise RefusedError(f"The gate policy ({policy.source}) gave no readable answer, so nothing passes.") from error
    return dict(answer)
