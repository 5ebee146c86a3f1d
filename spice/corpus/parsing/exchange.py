"""One request to the parsing process, and whom to blame if it dies over it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

from spice.config import CorpusConfig
from spice.corpus.document import Document
from spice.corpus.parsing.frames import FrameReader, write_frame
from spice.corpus.parsing.messages import from_message
from spice.corpus.parsing.reading import Begun, Ended, Path
from spice.corpus.source import LeftOut, SourceItem

Open = tuple[tuple[Path, str], ...]


class Exchange:
    """Items asked for and what came back.

    Args:
        process: the child, ready.
        items: what to parse.
        after: the member after which the first item goes on; `None` from its beginning.
        opened: the archives around that member, outermost first, with their names.
        config: limits.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        items: Sequence[SourceItem],
        after: Path | None,
        opened: Open,
        config: CorpusConfig,
    ) -> None:
        self.finished = 0
        """Items that are done."""
        self.death: tuple[str, str] | None = None
        """Reason and detail if the process is no more."""
        self._process = process
        self._items = items
        self._after = after
        self._opened = list(opened)
        self._limits = config.parsing

    def results(self) -> Iterator[tuple[int, Document | LeftOut]]:
        """Index of an item, and a document of it or what is missing, until all are done or the process is dead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        frames = FrameReader(self._process.stdout.fileno())
        try:
            write_frame(self._process.stdin, {"items": [item.to_json() for item in self._items], "after": self._after})
            self._process.stdin.flush()
            while self.finished < len(self._items):
                result = self._take(frames.next(self._limits.silent_seconds))
                if result is not None:
                    yield self.finished, result
        except TimeoutError:
            self.death = (
                "takes too long to read",
                f"corpus.parsing.silent_seconds is {self._limits.silent_seconds:g}",
            )
        except (OSError, EOFError, ValueError):
            self.death = self._cause()

    def blamed(self) -> tuple[Path, str, Open]:
        """What was being read at the death: its path and name, and the archives around it.

        The path is empty if it is the item itself.
        """
        if not self._opened:
            return (), self._items[self.finished].name, ()
        path, source = self._opened[-1]
        return path, source, tuple(self._opened[:-1])

    def _take(self, message: Any) -> Document | LeftOut | None:
        match event := from_message(message):
            case Document() | LeftOut():
                return event
            case Begun(path, source):
                self._opened.append((path, source))
            case Ended(path):
                if not self._opened or self._opened.pop()[0] != path:
                    raise ValueError("the end of a member that did not begin")
            case None:
                self.finished += 1
                self._opened = []
        return None

    def _cause(self) -> tuple[str, str]:
        self._process.kill()
        code = self._process.wait()
        if code == -signal.SIGPROF:
            return "takes too long to read", f"corpus.parsing.seconds is {self._limits.seconds:g}"
        return "crashes its reader", signal.strsignal(-code) or "" if code < 0 else f"it ends with {code}"
