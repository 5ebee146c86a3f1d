"""Events as plain values, and back. What comes from the parsing process is checked like anything from outside."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

from spice.corpus.document import Document, positions_from_json, positions_to_json
from spice.corpus.parsing.reading import Begun, Ended, Event, Path
from spice.corpus.source import LeftOut

READY: dict[str, Any] = {"kind": "ready"}
ITEM_DONE: dict[str, Any] = {"kind": "done"}


def to_message(event: Event) -> dict[str, Any]:
    """The event as a dictionary that can be a frame."""
    match event:
        case Document():
            # Not `asdict`, which copies a text piece by piece.
            return {
                "kind": "document",
                "title": event.title,
                "text": event.text,
                "positions": positions_to_json(event.positions),
                "notes": event.notes,
                "source": event.source,
                "format": event.format,
            }
        case LeftOut():
            return {"kind": "left_out", **asdict(event)}
        case Begun():
            return {"kind": "begun", **asdict(event)}
        case Ended():
            return {"kind": "ended", **asdict(event)}


def from_message(message: Any) -> Event | None:
    """The inverse of `to_message`; `None` for the end of an item. Raises `ValueError` for anything else."""
    match _MESSAGE.validate_python(message):
        case _Document() as one:
            positions = positions_from_json(one.positions)
            return Document(one.title, one.text, positions, one.notes, one.source, one.format)
        case _LeftOut() as one:
            return LeftOut(one.source, one.stage, one.reason, one.detail)
        case _Begun() as one:
            return Begun(one.path, one.source)
        case _Ended() as one:
            return Ended(one.path)
        case _:
            return None


class _Document(BaseModel):
    kind: Literal["document"]
    title: str
    text: str
    positions: dict[str, Any]
    notes: tuple[str, ...]
    source: str
    format: str


class _LeftOut(BaseModel):
    kind: Literal["left_out"]
    source: str
    stage: Literal["walk", "read", "part"]
    reason: str
    detail: str


class _Begun(BaseModel):
    kind: Literal["begun"]
    path: Path
    source: str


class _Ended(BaseModel):
    kind: Literal["ended"]
    path: Path


class _Done(BaseModel):
    kind: Literal["done"]


_MESSAGE: TypeAdapter[_Document | _LeftOut | _Begun | _Ended | _Done] = TypeAdapter(
    Annotated[_Document | _LeftOut | _Begun | _Ended | _Done, Field(discriminator="kind")]
)
