"""The parts that need no server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice.config import Config, ServingConfig
from spice.errors import ConfigError
from spice.serving.detokenise import TextStream
from spice.serving.errors import GatewayError
from spice.serving.memory import available_bytes
from spice.serving.server import require_closed
from spice.serving.worker import Worker


def from_bytes(tokens) -> str:
    """A decoder whose tokens are bytes: the hardest case, where most tokens are no character yet."""
    return bytes(tokens).decode("utf-8", "replace")


@given(st.text(), st.lists(st.text(min_size=1, max_size=3), max_size=3))
def test_text_comes_whole_and_ends_before_the_first_stop(text: str, stops: list[str]) -> None:
    stream = TextStream(from_bytes, stops)
    pieces = [stream.push(byte) for byte in text.encode()]
    whole = "".join(pieces) + stream.end()
    ends = [place + len(stop) for stop in stops for place in [text.find(stop)] if place >= 0]
    # Stops are looked for as text comes, so the one that is complete first ends it.
    seen = text[: min(ends, default=len(text))]
    expected = min((seen.find(stop) for stop in stops if stop in seen), default=len(text))
    assert whole == text[:expected]
    assert stream.stopped == bool(ends)
    assert "\ufffd" not in "".join(pieces) or "\ufffd" in text


def test_what_cannot_be_a_stop_is_not_held_back() -> None:
    stream = TextStream(from_bytes, ["END"])
    assert [stream.push(byte) for byte in b"aEbENc"] == ["a", "", "Eb", "", "", "ENc"]


@pytest.mark.parametrize(
    ("meminfo", "limit", "used", "expected"),
    [
        ("MemTotal: 9 kB\nMemAvailable:   4 kB\n", None, None, 4096),
        ("MemAvailable: 4 kB\n", "3000", "1000", 2000),
        ("MemAvailable: 4 kB\n", "max", "1000", 4096),
        ("", "3000", "1000", 2000),
        (None, None, None, None),
    ],
)
def test_memory_is_that_of_machine_or_container_whichever_is_less(
    tmp_path: Path, meminfo, limit, used, expected
) -> None:
    for name, content in (("meminfo", meminfo), ("memory.max", limit), ("memory.current", used)):
        if content is not None:
            (tmp_path / name).write_text(content)
    assert available_bytes(tmp_path / "meminfo", tmp_path) == expected


@pytest.mark.parametrize(
    ("host", "open_"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_only_loopback_is_served_without_keys(host: str, open_: bool) -> None:
    require_closed(Config(serving=ServingConfig(host=host)))
    config = Config(serving=ServingConfig(host=host, require_keys=False))
    if open_:
        require_closed(config)
    else:
        with pytest.raises(ConfigError, match="anyone who reaches"):
            require_closed(config)


@dataclass(frozen=True)
class Work:
    """What a counting batch is asked for."""

    length: int
    fails: str = ""
    prompt: tuple[int, ...] = (0,)


class Counting:
    """A batch whose sequences count from 0; some fail where they say."""

    def __init__(self) -> None:
        self.members: dict[int, tuple[Work, int]] = {}
        self.most = 0

    def __len__(self) -> int:
        return len(self.members)

    def add(self, key: int, work: Work):
        if work.fails == "add":
            raise RuntimeError("out of memory\nand a long trace")
        self.members[key] = (work, 0)
        self.most = max(self.most, len(self))
        return self._next(key)

    def step(self):
        if any(work.fails == "step" for work, _ in self.members.values()):
            raise RuntimeError("device lost")
        return [(key, *self._next(key)) for key in list(self.members)]

    def drop(self, key: int) -> None:
        self.members.pop(key, None)

    def _next(self, key: int):
        work, count = self.members[key]
        self.members[key] = (work, count + 1)
        if count + 1 == work.length:
            del self.members[key]
            return count, "length"
        return count, None


def with_worker(use: Callable[[Worker, Counting], object], limit: int = 8) -> object:
    async def run() -> object:
        batch = Counting()
        worker = Worker(batch, limit)
        try:
            return await use(worker, batch)
        finally:
            await worker.close()

    return asyncio.run(run())


async def read(worker: Worker, *works: Work) -> list[list[int]]:
    tokens: list[list[int]] = [[] for _ in works]
    with worker.read(works) as reading:
        async for place, token, _ in reading:
            tokens[place].append(token)
    return tokens


def test_sequences_are_read_whole_and_no_more_run_than_allowed() -> None:
    async def use(worker: Worker, batch: Counting) -> None:
        results = await asyncio.gather(*(read(worker, Work(3), Work(n)) for n in range(1, 10)))
        assert results == [[[0, 1, 2], list(range(n))] for n in range(1, 10)]
        assert batch.most <= 4

    with_worker(use, limit=4)


def test_leaving_early_frees_the_place() -> None:
    async def use(worker: Worker, batch: Counting) -> None:
        with worker.read([Work(10**9)]) as reading:
            async for _, token, _ in reading:
                if token == 5:
                    break
        assert await read(worker, Work(2)) == [[0, 1]]

    with_worker(use, limit=1)


def test_a_failing_prompt_fails_alone() -> None:
    async def use(worker: Worker, batch: Counting) -> None:
        good = asyncio.create_task(read(worker, Work(50)))
        with pytest.raises(GatewayError, match="out of memory") as caught:
            await read(worker, Work(3, fails="add"))
        assert caught.value.status == 500
        assert "trace" not in str(caught.value)
        assert await good == [list(range(50))]

    with_worker(use)


def test_after_a_failing_step_the_engine_goes_on_with_new_work() -> None:
    async def use(worker: Worker, batch: Counting) -> None:
        with pytest.raises(GatewayError, match="device lost"):
            await read(worker, Work(3, fails="step"))
        assert await read(worker, Work(2)) == [[0, 1]]

    with_worker(use)
