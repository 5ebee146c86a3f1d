"""Answers as text: finding them in a response, and comparing them where no algebra is needed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from spice.selfplay.types import LETTERS

_BRACE = re.compile(r"(\\(?:boxed|fbox)\s*\{)|\\.|[{}]", re.DOTALL)
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox)\s*\{([^{}]*)\}")
_ESCAPED = re.compile(r"\\([%$&#_])")
_ARTICLE = re.compile(r"^(?:the|an|a)\s+(?=\S)")
_LETTER = re.compile(r"^(?:(?:option|choice|answer)\s*:?\s*)?\(?([a-j])\)?\s*[.:]?$")
_LETTER_AND_TEXT = re.compile(r"^(?:\(([a-j])\)|([a-j])\s*[.:)])\s*(\S.*)$", re.DOTALL)
_INTEGER = re.compile(r"([+-]?)([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.0*)?")
_THOUSANDS_GAP = re.compile(r"(?<=[0-9])(?:\\,|\{,\}|[\s_'])(?=[0-9]{3}(?![0-9]))")
_QUOTES = "\"'`*_"
_TRAILING = ".,;:!?"
_BRACKETS = {"(": ")", "[": "]", "{": "}", "$": "$"}
# NFKC alone would turn 10² into 102.
_CHARACTERS = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "«": '"', "»": '"', "−": "-", "–": "-", "—": "-"}
    | {superscript: f"^{digit}" for digit, superscript in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
)


def extract_boxed(response: str) -> str | None:
    r"""Find the content of the last complete `\boxed{...}`.

    Braces may be nested; escaped ones (`\{`) do not count. A box that is cut off
    is no box, an empty one no answer.
    """
    # One pass, because a policy that degenerates may open a thousand boxes and close none.
    last, content = -1, ""
    opened: list[int] = []
    for match in _BRACE.finditer(response):
        if match[1]:
            opened.append(match.end())
        elif match[0] == "{":
            opened.append(-1)
        elif match[0] == "}" and opened and (start := opened.pop()) > last:
            last, content = start, response[start : match.start()]
    return content.strip() or None


def normalise(text: str) -> str:
    """Bring an answer to the form in which strings are compared.

    Unicode NFKC, case folded, white space collapsed; quotes, emphasis, brackets
    around the whole, end punctuation and a leading article are dropped. Signs,
    currency and per cent stay, because they change the meaning.
    """
    text = _TEXT_COMMAND.sub(r"\1", fold(text))
    text = _ESCAPED.sub(r"\1", text)
    before = None
    while text != before:
        before = text
        text = text.strip(_QUOTES + " ").rstrip(_TRAILING)
        if len(text) > 1 and _BRACKETS.get(text[0]) == text[-1] and not set(text[1:-1]) & {text[0], text[-1]}:
            text = text[1:-1]
    return _ARTICLE.sub("", text)


def fold(text: str) -> str:
    """Reduce text to NFKC, folded case, plain quotes and dashes, and single spaces; nothing else is dropped."""
    return " ".join(unicodedata.normalize("NFKC", text.translate(_CHARACTERS)).casefold().split())


def contains(text: str, phrase: str) -> bool:
    """Say whether a phrase stands in a text as whole words, whatever the case and white space of both.

    An empty phrase stands nowhere.
    """
    phrase = normalise(phrase)
    if not phrase:
        return False
    left = r"(?<!\w)" if phrase[0].isalnum() else ""
    right = r"(?!\w)" if phrase[-1].isalnum() else ""
    return re.search(left + re.escape(phrase) + right, _fold_document(text)) is not None


def choose(answer: str, options: Sequence[str]) -> int | None:
    """Find the option that an answer names, by its text, by its letter, or by both.

    Returns:
        The option's position, or `None` if the answer names none, or more than
        one: options may be letters themselves, or equal once normalised.
    """
    wanted = normalise(answer)
    if not wanted:
        return None
    texts = [normalise(option) for option in options]
    named = {i for i, text in enumerate(texts) if text == wanted}
    plain = fold(answer)
    if match := _LETTER.match(plain) or _LETTER.match(wanted):
        i = LETTERS.lower().index(match[1])
        if i < len(texts):
            named.add(i)
    elif match := _LETTER_AND_TEXT.match(plain) or _LETTER_AND_TEXT.match(wanted):
        i = LETTERS.lower().index(match[1] or match[2])
        if i < len(texts) and normalise(match[3]) == texts[i]:
            named.add(i)
    return named.pop() if len(named) == 1 else None


def parse_integer(text: str) -> int | None:
    """Read a plain integer: a sign, thousands separators and a decimal part of zeros are allowed, units are not."""
    match = _INTEGER.fullmatch(_THOUSANDS_GAP.sub(",", normalise(text)))
    if match is None or len(match[2]) > 1000:
        return None
    return int(match[1] + match[2].replace(",", ""))


# A document is searched for the answer and the evidence of each of its tasks.
_fold_document = lru_cache(maxsize=8)(fold)
