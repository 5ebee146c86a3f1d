"""What all verbs share: options, the configuration, output and the way an interruption is told.

A verb is a module `spice/cli/<verb>.py` that holds an undecorated function of the same name (or a `typer.Typer` of
the same name, for a verb with sub-verbs) and is listed in `spice.cli.VERBS`. It looks like this:

    def ingest(
        paths: Annotated[list[Path], typer.Argument(help="folders and files")],
        preset: PresetOption = DEFAULT_PRESET,
        file: FileOption = None,
        sets: SetOption = None,
        store: StoreOption = None,
        as_json: JsonOption = False,
    ) -> None:
        '''Turn documents into an immutable dataset version.'''
        config = load_config(preset, file, sets, store)
        with progress.reporter(as_json) as report:
            result = stages.ingest(paths, "documents", config, progress=report)
        emit(result, table(result), as_json)

Results go to standard output, progress and messages to standard error. Verbs raise `SpiceError` and never print
a refusal themselves: `spice.cli.main` prints the message and chooses the exit code. Heavy modules (`spice.stages`,
torch) are imported inside the function, so that `spice --help` stays quick.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from spice.config import Config
    from spice.settings import Resolved

DEFAULT_PRESET = "laptop"

PresetOption = Annotated[
    str, typer.Option("--preset", envvar="SPICE_PRESET", help="Named settings; see `spice config presets`.")
]
FileOption = Annotated[
    Path | None, typer.Option("--config", envvar="SPICE_CONFIG", metavar="FILE", help="Settings in YAML.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="One setting; wins over all else. Repeatable.")
]
StoreOption = Annotated[
    str | None, typer.Option("--store", metavar="URL", help="A folder, or s3://bucket/prefix; short for store.url.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines, and no progress.")]

# Text from documents, models and stores is printed; these would let it move the cursor or set the clipboard.
_CONTROL = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


def resolve_settings(
    preset: str | None, file: Path | None, sets: Sequence[str] | None, store: str | None = None
) -> Resolved:
    """The configuration with the origin of each value. Raises `ConfigError`."""
    from spice import settings

    assignments = list(sets or ())
    if store is not None:
        assignments.append(f"store.url={store}")
    return settings.resolve(preset, file, os.environ, assignments)


def load_config(preset: str | None, file: Path | None, sets: Sequence[str] | None, store: str | None = None) -> Config:
    """The configuration that the options of a verb ask for. Raises `ConfigError`."""
    return resolve_settings(preset, file, sets, store).config


def again(config: Config, actor: str = "local") -> str:
    """The options that make a printed command meet the same store under the same rules of release, to be copied.

    Args:
        config: of the command that prints it. What a command takes without any option is left out.
        actor: whose key will sign.
    """
    from spice import settings

    plain = settings.resolve(DEFAULT_PRESET).config
    words = [*(["--as", actor] if actor != "local" else []), "--store", config.store.url]
    for section in ("store", "promotion"):
        ours, usual = getattr(config, section).model_dump(), getattr(plain, section).model_dump()
        words += [
            word
            for name, value in ours.items()
            if value != usual[name] and (section, name) != ("store", "url")
            for word in ("--set", f"{section}.{name}={value if isinstance(value, str) else json.dumps(value)}")
        ]
    return shlex.join(words)


def emit(obj: object, human: RenderableType, as_json: bool) -> None:
    """Print a result: `obj` as JSON for machines, or `human` for people.

    Args:
        obj: anything pydantic can serialise, dataclasses and models included; NaN becomes null.
        human: a string, printed as it is, or something rich can draw. In rich tables wrap text that is not ours in
            `rich.text.Text`, since square brackets in a plain string are markup there.
        as_json: which of the two.
    """
    if as_json:
        from pydantic_core import to_json

        text = to_json(obj, indent=2, inf_nan_mode="null").decode()
    elif isinstance(human, str):
        text = human.translate(_CONTROL)
    else:
        from rich.console import Console

        # Out of a terminal rich assumes 80 columns and cuts digests off.
        Console(width=None if sys.stdout.isatty() else 160).print(human)
        text = ""
    if text:
        print(text)
    sys.stdout.flush()  # so that a closed pipe is noticed here, where it is handled
