"""Cleaning: what a model should not see is taken out of the text, and nothing else."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# Tabs and newlines are layout; the other controls, private use, surrogates (bytes that could not be decoded),
# zero-width and direction marks, tag characters and non-characters carry no text.
_JUNK = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
# Joiners are letters' business in Persian, Hindi and emoji sequences, and noise between plain letters.
_JOINER = re.compile("(?<![\u0600-\u0e7f\U0001f000-\U0001faff\ufe0f\u2640\u2642])[\u200c\u200d]+")
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_INNER_BLANKS = re.compile("(?<=[^\\s])(?: [^\\S\n]+|[^\\S\n ][^\\S\n]*)")
# Anchored so that a run of a million blanks costs one pass, not one per blank.
_TRAILING = re.compile("(?:(?<=\n)[^\\S\n]+|[^\\S\n])(?=\n)")
_WORD = re.compile(r"\w+")
# For ASCII, what `\w` does not match becomes a blank.
_BLANKED = bytes(code if _WORD.fullmatch(chr(code)) else 32 for code in range(128)) + bytes(128)
_CHUNK = 1 << 18
_BLANK_LINES = re.compile("\n{3,}")


def clean(text: str) -> str:
    """The text in Unicode NFC, without invisible characters, with single blanks and at most one blank line.

    Indentation stays, because it carries meaning in lists and code.
    `clean(clean(text)) == clean(text)`.
    """
    if text.isascii() and not _JUNK.search(text):
        plain = _LINE_END.sub("\n", text)
    else:
        plain = _JOINER.sub("", _JUNK.sub("", _LINE_END.sub("\n", text)))
        plain = unicodedata.normalize("NFC", plain)
    if "  " in plain or "\t" in plain or not plain.isascii():
        plain = _INNER_BLANKS.sub(" ", plain)
    # Of ASCII only these two can stand before a line end by now; looking for them is much quicker than the rule.
    if "\n" in plain and (not plain.isascii() or " \n" in plain or "\t\n" in plain):
        plain = _TRAILING.sub("", plain)
    return (_BLANK_LINES.sub("\n\n", plain) if "\n\n\n" in plain else plain).strip()


def removed_characters(text: str) -> int:
    """How many invisible characters and undecodable bytes `clean` would take out."""
    if text.isascii() and not _JUNK.search(text):
        return 0
    return len(_JUNK.findall(text)) + len(_JOINER.findall(text))


def fingerprint_text(text: str) -> str:
    """The text as duplicates are compared: without case, punctuation and layout."""
    return " ".join(map(_words, _chunks(text.casefold()))).strip()


def _words(text: str) -> str:
    if text.isascii():
        return " ".join(text.encode().translate(_BLANKED).decode().split())
    return " ".join(_WORD.findall(text))


def _chunks(text: str) -> Iterator[str]:
    """Parts cut at blanks, so that the words of a huge text are never all in memory as strings."""
    begin = 0
    while begin < len(text):
        end = begin + _CHUNK
        if end < len(text):
            blank = max(text.rfind(" ", begin + 1, end), text.rfind("\n", begin + 1, end))
            end = blank if blank > 0 else end
        yield text[begin:end]
        begin = end
