"""`spice pipeline`: the pipelines in Kubeflow: compile, upload, start, look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spice.cli.common import (
    DEFAULT_PRESET,
    FileOption,
    JsonOption,
    PresetOption,
    SetOption,
    emit,
    load_config,
)
from spice.cli.remote import kubeflow_extra
from spice.errors import ConfigError

if TYPE_CHECKING:
    from spice.kubeflow.service import JobState, Service

pipeline = typer.Typer(help="Compile, upload, start and watch the pipelines in Kubeflow.", no_args_is_help=True)

HostOption = Annotated[
    str | None,
    typer.Option("--host", metavar="URL", help="Address of the Pipelines API; short for kubeflow.host."),
]
AccountOption = Annotated[
    str | None,
    typer.Option(
        "--service-account", metavar="NAME", help="Service account of the job's pods; the chart's if not given."
    ),
]


@pipeline.command("compile")
def compile_(
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Where to write; where they are committed if not given."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compile the pipelines of the source tree to IR YAML."""
    with kubeflow_extra():
        from spice.kubeflow import compiling

        written = compiling.compile_all(out)
    emit([str(path) for path in written], "\n".join(str(path) for path in written), as_json)


@pipeline.command()
def upload(
    folder: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Compiled pipelines; those of this version if not given."),
    ] = None,
    image: Annotated[
        str | None, typer.Option("--image", help="Image of the tasks, by digest where only signed images may run.")
    ] = None,
    gpu_image: Annotated[
        str | None, typer.Option("--gpu-image", help="Image of the tasks that may use GPUs; --image if not given.")
    ] = None,
    host: HostOption = None,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the pipelines stand in the Kubeflow UI, as a new version where they stand already.

    Uploading the same again changes nothing, so an upgrade may repeat it.
    """
    from spice.kubeflow import compiling

    source = compiling.compiled(folder)
    texts = {path.stem: compiling.with_images(path, image, gpu_image) for path in sorted(source.glob("*.yaml"))}
    service = _service(host, preset, file, sets)
    done = [service.upload(name, text) for name, text in texts.items()]
    lines = [f"{one.name:<18} {one.version:<22} {'uploaded' if one.new else 'was there already'}" for one in done]
    emit(done, "\n".join(lines), as_json)


@pipeline.command()
def submit(
    name: Annotated[str, typer.Argument(help="selfplay, promote, rollback, nightly, compare or drift")],
    arguments: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="A field of the form; lists as JSON. Repeatable."),
    ] = None,
    job: Annotated[str | None, typer.Option("--job", help="Name of the job; the pipeline's if not given.")] = None,
    cron: Annotated[
        str | None, typer.Option("--cron", help="Start it again and again: six fields, such as '0 0 2 * * *'.")
    ] = None,
    account: AccountOption = None,
    host: HostOption = None,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a pipeline that was uploaded, or schedule it."""
    given = _arguments(arguments or [])
    service = _service(host, preset, file, sets)
    if cron is None:
        started = service.submit(name, given, job or name, account)
        human = f"Started: {started.page}\nFollow it: spice pipeline status {started.id}"
    else:
        started = service.schedule(name, given, job or name, cron, account)
        human = f"Scheduled: {started.page}"
    emit(started, human, as_json)


@pipeline.command()
def status(
    job: Annotated[str, typer.Argument(help="id of the job, as `spice pipeline submit` printed it")],
    host: HostOption = None,
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how a job and its tasks are getting on; exit code 1 if it failed."""
    found = _service(host, preset, file, sets).status(job)
    emit(found, _described(found), as_json)
    if found.state in ("FAILED", "CANCELED"):
        raise typer.Exit(1)


def _service(host: str | None, preset: str, file: Path | None, sets: list[str] | None) -> Service:
    with kubeflow_extra():
        from spice.kubeflow.service import Service

    given = [f"kubeflow.host={host}"] if host else []
    return Service(load_config(preset, file, [*(sets or []), *given]).kubeflow)


def _arguments(items: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals:
            raise ConfigError(f"--param {item!r} is no assignment; write it as --param documents=s3://bucket/prefix")
        found[name] = value
    return found


def _described(found: JobState) -> str:
    tasks = [f"  {task.name:<24} {task.state:<12} {task.error}".rstrip() for task in found.tasks]
    return "\n".join([f"{found.name} ({found.id}): {found.state} {found.error}".rstrip(), *tasks])
