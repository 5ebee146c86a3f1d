"""The `spice` command: one module per verb, imported only when the verb is used."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from spice import __version__
from spice.errors import SpiceError

if TYPE_CHECKING:
    from typer._click.core import Command

VERBS = {
    "run": "Ingest, train, evaluate, judge and request, in one command.",
    "ingest": "Turn documents into an immutable dataset version.",
    "erase": "Take a document out of the store, for good.",
    "plan": "Tell whether a run fits on the GPUs that there are.",
    "quarantine": "What the screens held back, and the decision to take it in.",
    "train": "Let a model improve itself on a dataset version.",
    "evaluate": "Measure a checkpoint and its base on the same held-out items.",
    "suites": "The benchmarks: list them, copy them, plan how many items a margin takes.",
    "arena": "Compare the recipes on a small model and a world with an oracle.",
    "runs": "List the runs in the store.",
    "report": "Build the report of a run.",
    "sign": "Vouch for a checkpoint with a signature.",
    "request": "Ask for the release of an evaluated checkpoint.",
    "approve": "Approve or reject a release request.",
    "promote": "Make an approved checkpoint live.",
    "rollback": "Go back to an earlier release.",
    "kill": "Engage or release the kill-switch.",
    "serve": "Answer from the live release, with the OpenAI API.",
    "drill": "Practise the kill-switch on running gateways, and measure it.",
    "ledger": "Show or verify the release ledger, or what it said at a time.",
    "lineage": "Follow a checkpoint to the passages that it learned from.",
    "audit": "Export the ledger with its evidence, and verify such a bundle.",
    "gate": "The gate's policies: their facts, their tests, their answer.",
    "console": "Run the web console, or log in to one.",
    "keys": "Create, list, rotate and revoke signing keys.",
    "doctor": "Check what the store can do.",
    "store": "Set a store up, and fetch from it.",
    "gc": "Find, and on demand delete, what nothing refers to.",
    "drift": "Tell whether documents, tasks or traffic have changed.",
    "exporter": "Serve metrics for Prometheus.",
    "mirror": "Tell Kubernetes the state of the kill-switch.",
    "pipeline": "Compile, upload, start and watch the pipelines in Kubeflow.",
    "config": "Show settings and presets.",
}


class LazyVerbs(TyperGroup):
    """Lists all verbs from the table and imports a verb's module when it is called, not before."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """Find the verb, with typer's hints for misspelt ones, and replace the stand-in by the real command."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(str(name)), rest


def load(verb: str) -> Command:
    """Import a verb's module and build its command."""
    attribute = getattr(importlib.import_module(f"spice.cli.{verb}"), verb)
    if not isinstance(attribute, typer.Typer):
        function, attribute = attribute, typer.Typer(add_completion=False)
        attribute.command(verb)(function)
    command = typer.main.get_command(attribute)
    command.name = verb
    return command


app = typer.Typer(
    cls=LazyVerbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Self-play on your own documents, and the controls.",
)


def _stand_in() -> None:
    """Never called: `LazyVerbs` replaces it."""


for _verb, _help in VERBS.items():
    app.command(_verb, help=_help)(_stand_in)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")] = False,
) -> None:
    """Declares the options for the help text; `main` has already taken `--debug` out, wherever it stood."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted."""
    given = list(sys.argv[1:] if argv is None else argv)
    args = [arg for arg in given if arg != "--debug"]
    debug = len(args) < len(given)
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app(args, prog_name="spice", standalone_mode=True)
    except SpiceError as error:
        if debug:
            raise
        print(f"spice: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        sys.exit(error.exit_code)
