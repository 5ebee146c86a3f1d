"""`spice drill`: practise the kill-switch on running gateways, and measure it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from spice.cli import progress
from spice.cli.acting import AsOption, acting, now, short
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
from spice.errors import ConfigError

if TYPE_CHECKING:
    from spice.serving.drill import Drilled

KEY_VARIABLE = "SPICE_API_KEY"


def drill(
    url: Annotated[str, typer.Option(help="The gateway, or what stands in front of several.")] = (
        "http://127.0.0.1:8000"
    ),
    trials: Annotated[int, typer.Option(min=1, help="How often it is engaged.")] = 1,
    streams: Annotated[int, typer.Option(min=1, help="Streams held open each time.")] = 20,
    limit: Annotated[float, typer.Option(min=0.1, help="Seconds after which the drill has failed.")] = 10.0,
    name: AsOption = "local",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the live release out of the gateways for a moment, as the kill-switch does, and measure how long it takes.

    An operator signs. Nothing is revoked and the release answers again at once; meanwhile clients see what they would
    see in earnest. The API key, with the scope generate, is read from SPICE_API_KEY.
    """
    try:
        import httpx

        from spice.serving.drill import drill as practise
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"A drill needs {error.name}, which is not installed: pip install 'spice-platform[serve]'"
        ) from error
    from spice.store import open_store

    config = load_config(preset, file, sets, store)
    place = open_store(config.store)
    signer = acting(place, name)
    key = os.environ.get(KEY_VARIABLE)

    async def run() -> Drilled:
        async with httpx.AsyncClient(
            base_url=url.rstrip("/").removesuffix("/v1"),
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(config.serving.request_seconds, connect=5.0),
            limits=httpx.Limits(max_connections=None),
        ) as client:
            return await practise(
                place,
                signer,
                now,
                client,
                config.serving.model_name,
                trials=trials,
                streams=streams,
                limit=limit,
                report=lambda done, total: report(done, total, "drill"),
            )

    with progress.reporter(as_json) as report:
        done = asyncio.run(run())
    emit(done, _told(done), as_json)


def _told(done: Drilled) -> str:
    cut = sum(trial.streams for trial in done.trials)
    told = sum(trial.told for trial in done.trials)
    back = max(trial.restored for trial in done.trials)
    return "\n".join(
        [
            f"Drill on {short(done.release)}: {len(done.trials)} trials, {done.streams} streams each.",
            f"  from engaging to its last byte   median {done.p50:.2f} s   p99 {done.p99:.2f} s   "
            f"longest {done.longest:.2f} s",
            f"  streams cut                      {cut}, {told} of them with an error event that says why",
            f"  answering again after            {back:.2f} s at most",
            "Both ends of the drill are in the ledger.",
        ]
    )
