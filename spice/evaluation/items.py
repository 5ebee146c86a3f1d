"""The nouns of evaluation: items, the suites they form, and what one model answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from spice.selfplay.types import Task, Verdict

SuiteKind = Literal["cloze", "reasoning", "user", "benchmark", "bias", "compliance"]


class Segment(Protocol):
    """What evaluation needs of a corpus segment."""

    @property
    def segment_id(self) -> str:
        """Unique in the dataset version."""
        ...

    @property
    def document_id(self) -> str:
        """The document that it is a part of."""
        ...

    @property
    def title(self) -> str:
        """The document's title, or ""."""
        ...

    @property
    def text(self) -> str:
        """The segment itself."""
        ...


class Segments(Protocol):
    """Segments by position: a list, or what reads each one from disk when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> Segment: ...

    def __iter__(self) -> Iterator[Segment]: ...


@dataclass(frozen=True)
class Item:
    """One question of a suite.

    Attributes:
        id: unique within the suite; base and candidate are paired by it.
        cluster: items that are not independent of each other share it, such as
            the items of one document. Intervals resample clusters, not items.
        task: question, gold answer and options, as a Reasoner is asked.
        source_text: what to look for in training text to tell whether this item was seen.
        sample: which of several answers to the same question this is.
        group: the part of the suite that it belongs to, or "".
    """

    id: str
    cluster: str
    task: Task
    source_text: str
    sample: int = 0
    group: str = ""


Grader = Callable[[Sequence[tuple[str, Item]]], list[Verdict]]
"""Judges `(response, item)` pairs, in order."""


@dataclass(frozen=True)
class Suite:
    """Items that are reported together.

    Attributes:
        name: what reports and the gate call it.
        kind: where the items come from.
        items: in a fixed order.
        forced: decoding permits nothing but the options. Measures what the
            model prefers, apart from whether it keeps to the answer format.
        grade: the suite's own oracle; `None` leaves it to the verifier.
        prompt: what is asked instead of the Reasoner's prompt, with `{question}` and `{options}`.
        temperature: of sampling; 0 is greedy.
        seed: of sampling.
        metric: what the rate is.
    """

    name: str
    kind: SuiteKind
    items: tuple[Item, ...]
    forced: bool = False
    grade: Grader | None = None
    prompt: str | None = None
    temperature: float = 0.0
    seed: int = 0
    metric: str = "accuracy"

    @property
    def repeats(self) -> bool:
        """Whether the items of a cluster ask one question several times, and so are no evidence of their own."""
        return self.kind == "bias" or any(item.sample for item in self.items)

    def as_forced(self) -> Suite:
        """The same items under forced choice, as a suite of its own."""
        return replace(self, name=f"{self.name}_forced", forced=True)


@dataclass(frozen=True)
class ItemResult:
    """What one model made of one item.

    Attributes:
        id: of the item.
        correct: the answer is right.
        answer: the answer as found in the response, or `None` if none was found.
        response: the whole response.
        truncated: the response was cut off at the length limit.
        confidence: under forced choice, the probability that the model gave its answer; else `None`.
    """

    id: str
    correct: bool
    answer: str | None
    response: str
    truncated: bool
    confidence: float | None = None


Results = dict[str, tuple[ItemResult, ...]]
"""One model's results, by suite name, each in the order of the suite's items."""
