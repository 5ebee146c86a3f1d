"""All suites that a configuration asks for."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from pathlib import Path

from spice.config import EvaluationConfig
from spice.errors import ConfigError
from spice.evaluation import benchmark_suite, benchmarks, bias, cloze, compliance, contamination, reasoning, rows, user
from spice.evaluation.items import Item, Segment, Segments, Suite
from spice.store.base import ObjectStore

_SPARE = 2


def build(
    config: EvaluationConfig,
    held_out: Segments,
    training: Iterable[Segment] = (),
    copies: ObjectStore | None = None,
) -> list[Suite]:
    """Build the suites: `cloze` and `cloze_forced`, `reasoning`, benchmarks, side effects, then the user's own.

    The same configuration and documents give the same items. A suite without
    items is left out; with fewer documents than needed it is as large as they allow.

    Args:
        config: how many items, which reasoning tasks and user suites, and the seed.
        held_out: segments that training never sees.
        training: segments that it does see. Sentences that also stand there, such as
            boilerplate, make no cloze items.
        copies: where benchmarks lie; `None` for the hub.

    Raises:
        ConfigError: a reasoning task or benchmark is unknown or cannot be had, a user suite is not as documented, or a
            name is used twice.
    """
    suites = []
    if config.cloze_items:
        closed = _cloze(config, held_out, training)
        suites += [closed, closed.as_forced()]
    if config.reasoning_items:
        suites.append(reasoning.build_suite(config.reasoning_tasks, config.reasoning_items, config.seed))
    for benchmark in benchmarks.chosen(config.benchmarks):
        found = rows.from_hub(benchmark) if copies is None else rows.from_copies(benchmark, copies)
        suites.append(benchmark_suite.build_suite(benchmark, found, config.benchmark_items, config.seed))
    if config.bias:
        suites.append(bias.load_suite(config.bias))
    if config.compliance:
        suites += compliance.load_suites(config.compliance)
    suites += [user.load_suite(Path(path)) for path in config.suites]
    names = [suite.name for suite in suites]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"evaluation.suites: two suites are called {name!r}; rename the file of one")
    return [suite for suite in suites if suite.items]


def unique_items(suites: Iterable[Suite]) -> dict[str, tuple[Item, ...]]:
    """Items by suite, each question once, for checks of the items themselves."""
    return {suite.name: tuple(item for item in suite.items if not item.sample) for suite in suites if not suite.forced}


def _cloze(config: EvaluationConfig, held_out: Segments, training: Iterable[Segment]) -> Suite:
    rng = random.Random(config.seed)
    pool = list(itertools.islice(cloze.find_candidates(held_out, rng), _SPARE * config.cloze_items))
    probe = cloze.build_suite(pool, random.Random(config.seed))
    seen = contamination.check({"cloze": probe.items}, ((segment.segment_id, segment.text) for segment in training))
    dropped = {hit.item for hit in seen.hits}
    clean = [candidate for candidate, item in zip(pool, probe.items, strict=True) if item.id not in dropped]
    return cloze.build_suite(clean[: config.cloze_items], rng)
