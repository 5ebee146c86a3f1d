"""Worked examples for small models, given as earlier turns of the chat.

As turns and never inside an instruction: a small model copies an example that
stands in an instruction. They share no fact with any corpus of ours; the kinds
of answer (name, date, number, term) and the place of the right option vary.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spice.selfplay.blanks import BLANK
from spice.text.sentences import split_sentences


@dataclass(frozen=True)
class Example:
    """A text, a question about it with its answer, and options of which one is right."""

    text: str
    question: str
    answer: str
    options: tuple[str, ...]

    @property
    def blanked(self) -> str:
        """The sentence of the text that holds the answer, with the answer left out."""
        answer = re.compile(re.escape(self.answer), re.IGNORECASE)
        return next(answer.sub(BLANK, each) for each in split_sentences(self.text) if answer.search(each))


EXAMPLES = (
    Example(
        text=(
            "The harbour town of Marlow Bay was founded in 1742 by the fisherman Tom Averill. "
            "Its lighthouse is 31 m high."
        ),
        question="Who founded the harbour town of Marlow Bay?",
        answer="Tom Averill",
        options=("Peter Lund", "Tom Averill", "Anna Reeve", "John Hask"),
    ),
    Example(
        text=(
            "Honey bees visit the flowers of the linden tree in June. "
            "Beekeepers in Orvale sell the pale honey in small jars."
        ),
        question="Which insects visit the flowers of the linden tree?",
        answer="honey bees",
        options=("red ants", "house flies", "dragonflies", "honey bees"),
    ),
    Example(
        text=(
            "The Sella Bridge was opened on 3 May 1911 and has seven arches. "
            "Its architect, Ida Brandt, also built the Corn Hall."
        ),
        question="When was the Sella Bridge opened?",
        answer="3 May 1911",
        options=("3 May 1911", "12 July 1880", "9 April 1946", "30 June 1905"),
    ),
    Example(
        text=(
            "Lake Teno lies 840 m above the sea. "
            "It freezes in November, and skaters from Korda cross it to the island of Vess."
        ),
        question="Which island do skaters cross Lake Teno to reach?",
        answer="Vess",
        options=("Lorn", "Harra", "Vess", "Ambry"),
    ),
    Example(
        text=("The Weavers' Guild of Dunmere had 212 members in its best year. Most of them wove linen for sails."),
        question="How many members did the Weavers' Guild of Dunmere have in its best year?",
        answer="212",
        options=("90", "212", "475", "138"),
    ),
    Example(
        text=(
            "The opera The Glass Orchard was written by Clara Whitmore in Vienna. "
            "It tells of a gardener who grows glass pears."
        ),
        question="In which city was the opera The Glass Orchard written?",
        answer="Vienna",
        options=("Madrid", "Dublin", "Oslo", "Vienna"),
    ),
)
