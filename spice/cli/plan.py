"""`spice plan`: does a run fit on the GPUs that there are?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from spice.cli.common import FileOption, JsonOption, SetOption, emit, load_config
from spice.errors import TrainingError

if TYPE_CHECKING:
    from rich.table import Table

    from spice.training.sizing import Plan


def plan(
    preset: Annotated[str, typer.Argument(help="Named settings; see `spice config presets`.")],
    gpus: Annotated[int, typer.Option("--gpus", min=1, help="How many.")] = 8,
    gpu_memory: Annotated[float, typer.Option("--gpu-memory", min=1.0, help="Memory of each, in GiB.")] = 80.0,
    file: FileOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the memory that a run needs on each GPU, and the tokens of an iteration.

    A run that cannot fit is refused, with the settings that would let it.
    """
    from spice.models.catalog import shape_of
    from spice.training import sizing

    config = load_config(preset, file, sets)
    found = sizing.plan(config, shape_of(config.model), gpus, int(gpu_memory * sizing.GIB))
    emit(found, _table(found, preset), as_json)
    if not found.fits:
        ways = "".join(f"\n  spice plan {preset} {change}" for change in found.changes)
        advice = f"It would with:{ways}" if ways else "No setting helps; take a smaller model or larger GPUs."
        raise TrainingError(
            f"{preset} does not fit: the {found.phase} needs {found.peak / sizing.GIB:.1f} GiB on each GPU, and there "
            f"are {gpu_memory:g}. {advice}"
        )


def _table(found: Plan, preset: str) -> Table:
    from rich import box
    from rich.table import Table

    from spice.training.sizing import GIB

    table = Table("on each GPU", "GiB", box=box.SIMPLE, title=f"{preset}: {found.parameters / 1e9:.2f} B parameters")
    table.columns[1].justify = "right"
    memory = found.memory
    rows = {
        "weights (to compute, and float32 masters)": memory.weights,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer,
        "buffers": memory.buffers,
        "activations": memory.activations,
        "the engine's weights": memory.engine_weights,
        "KV cache": memory.cache,
        "CUDA and fragmentation": memory.overhead,
    }
    for name, size in rows.items():
        table.add_row(name, f"{size / GIB:.1f}")
    table.add_section()
    table.add_row(f"peak, in the {found.phase}", f"{found.peak / GIB:.1f}")
    table.add_row("there is", f"{found.gpu_bytes / GIB:.1f}")
    table.add_section()
    tokens = found.tokens
    table.add_row("tokens an iteration: prompts", f"{tokens.prompts:,}")
    table.add_row("  generated at most", f"{tokens.longest:,}")
    table.add_row("  generated if outputs are a quarter as long as allowed (a guess)", f"{tokens.typical:,}")
    table.add_row("  trained on at most", f"{tokens.trained:,}")
    table.add_row(f"tokens that the caches of {found.gpus} GPUs hold", f"{tokens.cache_room:,}")
    return table
