"""What the verbs of governance share: who acts, the clock, short references, and evidence put into words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from spice.cli.common import load_config
from spice.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from spice.config import Config
    from spice.promotion.gate import Decision
    from spice.promotion.request import Request
    from spice.store.base import ObjectStore
    from spice.trust.signing import Signer

AsOption = Annotated[str, typer.Option("--as", metavar="NAME", help="Whose key signs this; see `spice keys list`.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for whoever reads the ledger later.")]
RequestArgument = Annotated[str, typer.Argument(help="requests/<digest>; the digest may be cut short")]


def now() -> datetime:
    """The clock of the command line."""
    return datetime.now(UTC)


def governed(preset: str, file: Path | None, sets: list[str] | None, store: str | None) -> tuple[Config, ObjectStore]:
    """The configuration that the options of a verb ask for, and its store. Raises `ConfigError`."""
    from spice.store import open_store

    config = load_config(preset, file, sets, store)
    return config, open_store(config.store)


def acting(store: ObjectStore, name: str) -> Signer:
    """The signer called `name`; `local` comes into being at its first use in a folder store. Raises `RefusedError`."""
    from spice.trust.enrol import own_signer
    from spice.trust.keys import key_folder

    return own_signer(store, name, key_folder(), now)


def find(store: ObjectStore, prefix: str, text: str) -> str:
    """The whole reference `<prefix>/<digest>` that `text`, with or without prefix, perhaps cut short, stands for."""
    from spice.store.canonical import is_digest

    start = text.removeprefix(f"{prefix}/")
    if not start or set(start) - set("0123456789abcdef"):
        raise ConfigError(f"{text!r} is not a reference: expected {prefix}/ and some of 64 hexadecimal digits.")
    names = {info.key.removeprefix(f"{prefix}/")[:64] for info in store.list(f"{prefix}/{start}")}
    found = sorted(name for name in names if is_digest(name))
    if len(found) != 1:
        raise NotFoundError(
            f"{text} could be any of {', '.join(found)}; give more digits."
            if found
            else f"{prefix}/{start} is not in the store {store.url}. Is --store right?"
        )
    return f"{prefix}/{found[0]}"


def short(ref: str | None) -> str:
    """A reference with the digest cut to 12 digits, for people."""
    if ref is None:
        return "nothing"
    prefix, _, digest = ref.rpartition("/")
    return f"{prefix}/{digest[:12]}" if prefix else ref


def describe_decision(decision: Decision) -> str:
    """The gate's answer, its reasons and the figures behind them."""
    facts = decision.facts
    lines = [
        f"The gate says: {decision.outcome.upper()}  ({decision.policy} policy {decision.policy_digest[:12]})",
        *(f"  - {reason}" for reason in decision.reasons),
        "",
        f"  {'suite':<16}{'n':>6}{'before':>9}{'after':>9}{'change':>9}   interval",
    ]
    for name, suite in facts.suites.items():
        change = suite.difference
        lines.append(
            f"  {name:<16}{suite.n:>6}{suite.base.rate:>9.1%}{suite.candidate.rate:>9.1%}{change.value:>+9.1%}"
            f"   {change.low:+.1%} to {change.high:+.1%}"
        )
    lines += [f"  Training warned: {warning}" for warning in facts.health.warnings]
    return "\n".join(lines)


def describe_request(wanted: Request) -> str:
    """What a request asks for."""
    return "\n".join(
        [
            f"{wanted.requester} asks to release  {wanted.candidate}",
            f"  in place of   {wanted.replaces or 'nothing (nothing is live)'}",
            f"  trained from  {short(wanted.base)} on {short(wanted.corpus)} in the run {wanted.run}",
            f"  evidence      {wanted.evaluation}",
            f"  decision      {wanted.decision}",
        ]
    )
