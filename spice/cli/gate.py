"""`spice gate`: what the gate's policies are told, whether they do what their authors mean, and what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spice.cli.acting import describe_decision, find
from spice.cli.common import (
    DEFAULT_PRESET,
    FileOption,
    JsonOption,
    PresetOption,
    SetOption,
    StoreOption,
    emit,
    load_config,
)

gate = typer.Typer(help="The gate's policies: their facts, their tests, their answer.", no_args_is_help=True)


@gate.command()
def ask(
    evaluation: Annotated[str, typer.Argument(help="evaluations/<digest>; the digest may be cut short")],
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the gate about an evaluation; nothing is stored. Exit code 1 unless it says pass."""
    from spice.promotion import gate as gates
    from spice.store import open_store

    config = load_config(preset, file, sets, store)
    place = open_store(config.store)
    decision = gates.judge(place, find(place, "evaluations", evaluation), config.promotion)
    emit(decision, describe_decision(decision), as_json)
    if decision.outcome != "pass":
        raise typer.Exit(1)


@gate.command()
def test(
    tests: Annotated[Path, typer.Argument(help="a Rego file, package gate_test")],
    policy: Annotated[Path | None, typer.Option("--policy", help="The policy; the built-in one by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the unit tests of a policy. Exit code 1 if one fails."""
    from spice.promotion import policy as policies

    results = policies.test(policies.load(str(policy) if policy else None), policies.load(str(tests)))
    failed = [name for name, holds in results.items() if not holds]
    lines = [f"{'ok  ' if holds else 'FAIL'}  {name}" for name, holds in results.items()]
    emit(results, "\n".join([*lines, f"{len(results) - len(failed)} of {len(results)} hold."]), as_json)
    if failed:
        raise typer.Exit(1)


@gate.command()
def schema() -> None:
    """Print the JSON schema of the facts, for authors of policies."""
    from spice.promotion import facts

    print(facts.text(), end="")
