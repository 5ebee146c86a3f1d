"""From tokens to text while the answer is still being written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_INCOMPLETE = "\ufffd"  # what a decoder writes for bytes that are no character yet


class TextStream:
    """Turns tokens into text as they come: no half characters, and nothing of a stop string.

    Args:
        decode: text of tokens, special ones left out.
        stops: strings at which the text ends; they are not part of it.

    Attributes:
        stopped: whether a stop string was met; what comes after it is ignored.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stops: Sequence[str] = ()) -> None:
        self.stopped = False
        self._decode = decode
        self._stops = tuple(stops)
        self._tokens: list[int] = []
        self._start = self._read = 0  # tokens before `_read` are text already; those from `_start` on give its context
        self._held = ""

    def push(self, token: int) -> str:
        """The text that is certain once this token has come; may be empty."""
        self._tokens.append(token)
        return self._release(self._new(final=False), final=False)

    def end(self) -> str:
        """The rest, once the last token has come."""
        return self._release(self._new(final=True), final=True)

    def _new(self, *, final: bool) -> str:
        # Decoded with the tokens before, since some decoders treat the first token of a text in another way.
        known = self._decode(self._tokens[self._start : self._read])
        text = self._decode(self._tokens[self._start :])
        if len(text) <= len(known) or (text.endswith(_INCOMPLETE) and not final):
            return ""
        self._start, self._read = self._read, len(self._tokens)
        return text[len(known) :]

    def _release(self, text: str, *, final: bool) -> str:
        if self.stopped:
            return ""
        self._held += text
        found = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            return self._held[: min(found)]
        keep = 0 if final else max((_overlap(self._held, stop) for stop in self._stops), default=0)
        cut = len(self._held) - keep
        released, self._held = self._held[:cut], self._held[cut:]
        return released


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` with which `stop` begins."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
