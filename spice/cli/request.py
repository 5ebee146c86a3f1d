"""`spice request`: judge an evaluation and, if the gate passes it, ask people to approve the release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from spice.cli.acting import AsOption, acting, describe_decision, find, governed, now
from spice.cli.common import (
    DEFAULT_PRESET,
    FileOption,
    JsonOption,
    PresetOption,
    SetOption,
    StoreOption,
    again,
    emit,
)

if TYPE_CHECKING:
    from spice.config import Config


def request(
    evaluation: Annotated[str, typer.Argument(help="evaluations/<digest>; the digest may be cut short")],
    name: AsOption = "local",
    preset: PresetOption = DEFAULT_PRESET,
    file: FileOption = None,
    sets: SetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for the release of an evaluated checkpoint; refused unless the gate passes it."""
    from spice.promotion import gate
    from spice.promotion import request as requests

    config, place = governed(preset, file, sets, store)
    signer = acting(place, name)
    decision = gate.judge(place, find(place, "evaluations", evaluation), config.promotion)
    judged = gate.record(place, decision, signer, now)
    gate.keep_policies(place, config.promotion)
    ref = requests.request(place, judged, signer, now)
    result = {"request": ref, "decision": judged, "outcome": decision.outcome, "reasons": decision.reasons}
    human = "\n".join([describe_decision(decision), "", f"Requested: {ref}", next_steps(ref, config, name)])
    emit(result, human, as_json)


def next_steps(ref: str, config: Config, requester: str) -> str:
    """The commands, ready to be copied, that lead from the request `ref` to the release."""
    if needed := config.promotion.approvals:
        where = again(config)
        lines = [
            f"Nothing is live yet. {needed} approval(s) needed, none from whoever requested:",
            f"  spice keys create NAME --role approver {where}  # once, by the person who will approve",
            f"  spice approve {ref} --as NAME {where}",
        ]
    else:
        lines = ["Nothing is live yet. No approval is needed:"]
    return "\n".join([*lines, f"  spice promote {ref} {again(config, requester)}"])
