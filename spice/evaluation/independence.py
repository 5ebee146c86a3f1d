"""Is the judge another model than the one that it judges, and not of its family?

Three sources are compared with the candidate's ancestry in the store: what the
operator declares of the judge (`evaluation.judge.lineage`), the name by which
it is asked, and all that its server tells of it. A missing declaration is a
refusal. A false one is not found out here; it is in the report, under the
operator's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spice.config import JudgeConfig
from spice.errors import IntegrityError, NotFoundError, RefusedError
from spice.store import artifacts
from spice.store.base import ObjectStore

_MAX_GENERATIONS = 1000


def require_independent(judge: JudgeConfig, served: dict[str, Any], family: frozenset[str]) -> None:
    """Refuse a judge that shares a name or digest with the candidate or any of its ancestors.

    Args:
        judge: what is declared of it.
        served: what its server says of its model.
        family: see `family`.

    Raises:
        RefusedError: it does, or nothing was declared.
    """
    if not judge.lineage:
        raise RefusedError(
            f"Nothing says what the judge {judge.model!r} was made from. Declare it in evaluation.judge.lineage, such "
            "as [org/model, org/model-base]; a judge of unknown origin judges nothing."
        )
    told = {judge.model, *judge.lineage, *_strings(served)}
    shared = sorted({name for name in told if _forms(name) & family})
    if shared:
        raise RefusedError(
            f"The judge {judge.model!r} is the candidate or of its lineage ({', '.join(shared)}). Name a judge of "
            "another family in evaluation.judge."
        )


def family(store: ObjectStore, candidate: str, base: str, model: str) -> frozenset[str]:
    """All names of the candidate and of everything that it was made from, in the forms in which they are compared.

    Args:
        store: that holds them.
        candidate: reference of the checkpoint.
        base: reference of what it is compared with.
        model: the configured model before training.

    Raises:
        RefusedError: an ancestor's manifest cannot be read, so that its own ancestors are unknown.
    """
    names: set[str] = set()
    queue = [candidate, base, model]
    while queue:
        name = queue.pop()
        if not name or name in names:
            continue
        names.add(name)
        if len(names) > _MAX_GENERATIONS:
            raise RefusedError(f"{candidate} has over {_MAX_GENERATIONS} ancestors; its lineage cannot be followed.")
        if name.startswith("checkpoints/"):
            queue += _parents(store, name)
    return frozenset(form for name in names for form in _forms(name))


def _parents(store: ObjectStore, ref: str) -> list[str]:
    """What a checkpoint's manifest says that it was made from, or with."""
    try:
        manifest = artifacts.manifest(store, ref)
    except (NotFoundError, IntegrityError) as error:
        raise RefusedError(
            f"The candidate's lineage cannot be followed, so no judge can be shown to be independent: {error}"
        ) from error
    return [str(manifest.get(field) or "") for field in ("base", "model", "challenger")]


def _forms(name: str) -> set[str]:
    """A name as it may be written elsewhere: whole, without its owner or kind, without regard to case."""
    folded = name.strip().casefold().rstrip("/")
    return {folded, folded.rpartition("/")[2]} - {""}


def _strings(value: object) -> Iterator[str]:
    """All strings inside what a server said, except the fixed words of the API."""
    match value:
        case str():
            yield value
        case dict():
            for key, inner in value.items():
                if key not in ("object", "owned_by", "permission"):
                    yield from _strings(inner)
        case list():
            for inner in value:
                yield from _strings(inner)
