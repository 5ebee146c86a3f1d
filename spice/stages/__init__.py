"""The stages: references in, references out.

Everything that passes between stages lies in the store, named by its digest.
So a stage runs the same in a process, a container or a pod, and can be
repeated.
"""

from spice.stages.checking import DriftChecked, drift_check
from spice.stages.coevolving import coevolve
from spice.stages.erasing import Erased, erase, readmit
from spice.stages.evaluating import Evaluated, evaluate, harness
from spice.stages.ingesting import ingest, ingest_shard, merge_shards
from spice.stages.releasing import decide, judge, promote, request_promotion, rollback, verify_promotion
from spice.stages.training import train

__all__ = [
    "DriftChecked",
    "Erased",
    "Evaluated",
    "coevolve",
    "decide",
    "drift_check",
    "erase",
    "evaluate",
    "harness",
    "ingest",
    "ingest_shard",
    "judge",
    "merge_shards",
    "promote",
    "readmit",
    "request_promotion",
    "rollback",
    "train",
    "verify_promotion",
]
