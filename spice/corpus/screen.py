r"""The injection screen: text that speaks to a model instead of to a reader.

A document that says "ignore your instructions" would speak to the Challenger.
Such documents are quarantined whole. The rules ask for a command, not for the
words: "the jury was told to disregard previous instructions" passes. Text is
compared after invisible characters are gone and look-alike forms are folded,
so spacing tricks do not help. Nor do lines that end within words; a command with
line ends both within words and between them does pass.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

# Where a command may begin: a sentence, a clause, a bracket, or after words that make it one.
_COMMAND = (
    r"(?:^|[.!?:;,\"'“”‘’(\[{<>*#|/-]\s*"
    r"|\b(?:please|now|then|and|must|should|shall|just|kindly|immediately)\s+"
    r"|\b(?:you to|are to|have to|need to|assistant|model|ai|llm)\s+)"
)
_OLD = (
    r"(?:previous|prior|above|earlier|preceding|foregoing|former|existing|original|initial|system|safety|your|current)"
)
_ORDERS = r"(?:instructions?|prompts?|directives?|guidelines?|programming|system messages?)"
_MODEL = (
    r"(?:ai(?: (?:model|assistant|agent|system)s?)?|llms?|(?:large )?language models?|chat ?bots?|assistants?"
    r"|chatgpt|gpt-?\d?|claude|gemini)"
)
_SECRET = (
    r"(?:system (?:prompt|message|instructions?)|prompt"
    r"|(?:full |entire |exact )?(?:hidden|secret|initial|original) (?:prompt|instructions))"
)
_READING = r"(?:reading|processing|parsing|summari[sz]ing|reviewing|analy[sz]ing) this[^.:,\n]{0,40}"

# Reason, words of which at least one must occur (a quick look before the slow one), rule.
_RULES: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = (
    (
        "tells a model to ignore its instructions",
        ("instruction", "prompt", "directive", "guideline", "programming", "system message"),
        re.compile(
            rf"{_COMMAND}(?:ignore|disregard|forget|override|bypass|do not follow|don't follow|stop following)"
            r"(?: (?:all|any|every|each|everything|of|the|these|those|my|other|and|or|to|in)){0,4}"
            rf"(?: {_OLD},?){{1,3}}(?: (?:and|or|{_OLD}|set|of)){{0,3}} {_ORDERS}\b",
            re.MULTILINE,
        ),
    ),
    (
        "gives a model a new role",
        ("you are", "you're", "from now on"),
        re.compile(
            r"\byou are (?:now|no longer|hereafter)(?: [\w'-]+){0,6}?"
            rf" (?:{_MODEL}|dan|jailbroken|unrestricted|developer mode)\b"
            r"|\b(?:pretend|act as if|imagine)(?: that)? you(?: are|'re)(?: [\w'-]+){0,4}?"
            rf" (?:unrestricted|jailbroken|unfiltered) {_MODEL}\b"
            rf"|\bfrom now on,? (?:you|{_MODEL}) (?:will|must|shall|should|only)"
            r" (?:only |always |never )?(?:respond|answer|reply|output)\b"
        ),
    ),
    (
        "asks a model for its prompt",
        ("prompt", "instruction", "system message"),
        re.compile(
            rf"(?:{_COMMAND}|\bto )(?:reveal|print|show|output|repeat|disclose|leak|display|tell|give)(?: me| us)? your"
            rf"(?: (?:full|entire|exact|whole))? {_SECRET}\b",
            re.MULTILINE,
        ),
    ),
    (
        "addresses a model",
        ("if you are", "attention", "note to", "notice to", "instruction", "message", "dear"),
        re.compile(
            r"\b(?:if you are|attention|note to|notice to|instructions? (?:for|to)|messages? (?:for|to)|dear)"
            rf"(?: (?:an?|any|all|the|every))? {_MODEL}(?: {_READING})?\s?[,:;!—-]"
        ),
    ),
    (
        "holds markup of a chat template",
        ("<|", "<<sys", "[inst]", "[/inst]", "of_turn>"),
        re.compile(
            r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id)\|>"
            r"|<<sys>>|\[/?inst\]|<(?:start|end)_of_turn>"
        ),
    ),
)
_WITHIN = re.compile(r"[^\W\d_]\n[^\W\d_]")  # a line that may end within a word
_TAGS = re.compile("[\U000e0020-\U000e007e]{12,}")
_INVISIBLE = re.compile("[\u200b-\u200f\u2060-\u2064\ufeff\u202a-\u202e\u180e\ufe00-\ufe0f\U000e0100-\U000e01ef]{16,}")


def injection(raw: str, cleaned: str) -> tuple[str, str] | None:
    """Why a document must be quarantined, with the passage, or `None` if it may pass.

    Args:
        raw: the text as it stood in the file, where hidden payloads still are.
        cleaned: the same text after `clean`.
    """
    if not raw.isascii():
        if _TAGS.search(raw):
            return "hides text in Unicode tag characters", ""
        if _INVISIBLE.search(raw):
            return "hides a payload in zero-width characters", ""
    folded = cleaned if cleaned.isascii() else unicodedata.normalize("NFKC", cleaned)
    folded = folded.lower().replace("’", "'")
    return _broken(" ".join, folded) or (_broken("".join, folded) if _WITHIN.search(folded) else None)


def _broken(join: Callable[[list[str]], str], text: str) -> tuple[str, str] | None:
    """What `injection` says of a text whose lines end between words, or within them."""
    if "\n" in text:
        paragraphs = (join(paragraph.split("\n")) for paragraph in text.split("\n\n"))
        text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for reason, needles, rule in _RULES:
        if any(needle in text for needle in needles) and (match := rule.search(text)):
            begin = max(0, match.start() - 20)
            return reason, text[begin : match.end() + 40].strip()
    return None
