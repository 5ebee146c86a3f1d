"""Segmentation: pieces of at most N tokens, cut between paragraphs where possible."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from spice.corpus.clean import clean

CountTokens = Callable[[Sequence[str]], list[int]]

# No text has this many characters per token; what is longer is cut before it is counted.
_CHARS_PER_TOKEN = 16
_BATCH_CHARS = 2_000_000
_TEXT_CHARS = 1000  # as many as a text costs in a batch besides its characters
# The look-behind and the possessive quantifiers keep a run of a million dots linear.
_SENTENCE_END = re.compile(r"(?<![.!?])[.!?]++[\"'”’)\]]*+\s|[。！？]|\n")


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment in the making: `text` is `clean(raw[start:end])` and has `tokens` tokens."""

    start: int
    end: int
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class _Span:
    document: int
    start: int
    end: int
    level: int
    tokens: int = 0


def segment(texts: Sequence[str], limit: int, longest_line: int, count_tokens: CountTokens) -> list[list[Piece]]:
    """Cut each text into pieces of at most `limit` tokens.

    Whole paragraphs are packed together as long as they fit. A paragraph that
    is too long is cut at sentence ends, a sentence between words, a word
    anywhere. All texts are counted together, because tokenizers are quick on
    batches.

    Args:
        texts: raw texts, not yet cleaned, so that positions stay true.
        limit: most tokens per piece.
        longest_line: characters from which a line is cut before it is counted.
        count_tokens: tokens of each given text.
    """
    spans = _fitting_spans(texts, limit, longest_line, count_tokens)
    groups = _pack(spans, limit)
    pieces: list[list[Piece]] = [[] for _ in texts]
    while groups:
        cleaned = [clean(texts[group[0].document][group[0].start : group[-1].end]) for group in groups]
        counts = _count((text for text, group in zip(cleaned, groups, strict=True) if len(group) > 1), count_tokens)
        again = []
        for group, text in zip(groups, cleaned, strict=True):
            tokens = next(counts) if len(group) > 1 else group[0].tokens
            if tokens > limit:  # joining cost more tokens than was allowed for
                again += [group[: len(group) // 2], group[len(group) // 2 :]]
            elif text:
                pieces[group[0].document].append(Piece(group[0].start, group[-1].end, text, tokens))
        groups = again
    return [sorted(found, key=lambda piece: piece.start) for found in pieces]


def _fitting_spans(texts: Sequence[str], limit: int, longest_line: int, count_tokens: CountTokens) -> list[_Span]:
    """Paragraphs, and parts of paragraphs that are too long, each of at most `limit` tokens, in order."""
    todo = [_Span(i, start, end, 0) for i, text in enumerate(texts) for start, end in _paragraphs(text)]
    done: list[_Span] = []
    most = (limit * _CHARS_PER_TOKEN, min(limit * _CHARS_PER_TOKEN, longest_line))
    while todo:
        todo = list(_presplit(todo, texts, most))
        counts = _count((clean(texts[span.document][span.start : span.end]) for span in todo), count_tokens)
        again: list[_Span] = []
        for span in todo:
            tokens = next(counts)
            if tokens <= limit:
                done.append(_Span(span.document, span.start, span.end, span.level, tokens))
            else:
                size = int((span.end - span.start) * limit / tokens * 0.9)
                again += _split(span, texts[span.document], max(1, size))
        todo = again
    return sorted(done, key=lambda span: (span.document, span.start))


def _presplit(spans: list[_Span], texts: Sequence[str], most: tuple[int, int]) -> Iterator[_Span]:
    """Cut what is too long even to count, into parts that are likely to fit, at four characters per token."""
    for span in spans:
        if span.end - span.start <= most[min(span.level, 1)]:
            yield span
        else:
            yield from _presplit(_split(span, texts[span.document], most[1] // 4), texts, most)


def _split(span: _Span, text: str, size: int) -> list[_Span]:
    """A paragraph into sentences; a sentence into parts of about `size` characters."""
    if span.level == 0:
        parts = list(_sentences(text, span.start, span.end))
        if len(parts) > 1:
            return [_Span(span.document, start, end, 1) for start, end in parts]
    return [_Span(span.document, start, end, 2) for start, end in _chop(text, span.start, span.end, size)]


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Ranges between blank lines, without the white space around them."""
    begin = position = 0
    while position <= len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        if not text[position:end].strip():
            yield from _trim(text, begin, position)
            begin = end + 1
        position = end + 1
    yield from _trim(text, begin, len(text))


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    begin = start
    for match in _SENTENCE_END.finditer(text, start, end):
        yield from _trim(text, begin, match.end())
        begin = match.end()
    yield from _trim(text, begin, end)


def _chop(text: str, start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    """Parts of at most `size` characters, cut at white space if there is any in the second half of a part."""
    while end - start > size:
        cut = max((text.rfind(blank, start + size // 2, start + size) for blank in " \t\n"), default=-1)
        cut = start + size if cut <= start else cut
        yield from _trim(text, start, cut)
        start = cut
    yield from _trim(text, start, end)


def _trim(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The range without white space at its ends, or nothing if there is nothing else."""
    piece = text[start:end]
    body = piece.strip()
    if body:
        begin = start + len(piece) - len(piece.lstrip())
        yield begin, begin + len(body)


def _pack(spans: list[_Span], limit: int) -> list[list[_Span]]:
    """Neighbours of one document together, as long as their tokens fit, one more counted for each join."""
    groups: list[list[_Span]] = []
    room = 0
    for span in spans:
        if groups and groups[-1][-1].document == span.document and span.tokens + 1 <= room:
            groups[-1].append(span)
            room -= span.tokens + 1
        else:
            groups.append([span])
            room = limit - span.tokens
    return groups


def _count(texts: Iterable[str], count_tokens: CountTokens) -> Iterator[int]:
    """Tokens of each text, counted in batches: a tokenizer needs a hundred bytes and more per token of a batch."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text) + _TEXT_CHARS
        if size > _BATCH_CHARS:
            yield from count_tokens(batch)
            batch, size = [], 0
    if batch:
        yield from count_tokens(batch)
