"""The stages that measure a checkpoint."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice.config import Config
from spice.corpus import passages
from spice.errors import IntegrityError
from spice.models.catalog import checkpoint_folder
from spice.stages.opening import engine as open_engine
from spice.store import ObjectStore, artifacts, open_store

if TYPE_CHECKING:
    from spice.evaluation.items import Results, Suite
    from spice.rollout.base import Engine
    from spice.training.loop import Progress


@dataclass(frozen=True)
class Evaluated:
    """A stored evaluation: its reference and the report itself."""

    ref: str
    report: dict[str, Any]


def evaluate(
    candidate: str, base: str | None, corpus: str | None, config: Config, run: str | None, *, progress: Progress
) -> Evaluated:
    """Measure a checkpoint against its base on items that training never saw, and store the report.

    Args:
        candidate: reference of the checkpoint.
        base: reference of what it is compared with; from the candidate's manifest if `None`.
        corpus: dataset version whose held-out documents are used; likewise.
        config: items, bootstrap, recipe (for the Reasoner's prompt) and margins.
        run: the run that made the candidate; likewise.
        progress: told how many items are answered.

    Raises:
        ConfigError: a suite or benchmark cannot be had.
        RefusedError: a judge is configured that cannot be shown to be independent of the candidate.
    """
    from spice.evaluation import contamination, equivalence, independence, report, rows, suites
    from spice.evaluation.judge import Judge
    from spice.training.process import prepare

    prepare(config.training.threads)
    store = open_store(config.store)
    origin = artifacts.manifest(store, candidate)
    base = base or str(origin.get("base", ""))
    corpus = corpus or str(origin.get("corpus", ""))
    run = run or str(origin.get("run", ""))
    place = config.evaluation.benchmark_store
    copies = rows.open_copies(place, config.store) if place else None

    def answers(ref: str, who: str) -> Results:
        with open_engine(store, ref, config) as (engine, tokenizer):
            return _answer(engine, tokenizer, asked, config, lambda done, total: progress(done, total, who))

    with ExitStack() as stack:
        training = stack.enter_context(passages.opened(store, corpus, "train"))
        with passages.opened(store, corpus, "held_out") as held_out:
            asked = suites.build(config.evaluation, held_out, training, copies)
        judge = None
        if config.evaluation.judge.url:
            # Before hours of generation, and not after.
            judge = stack.enter_context(Judge(config.evaluation.judge))
            related = independence.family(store, candidate, base, config.model.name)
            independence.require_independent(judge.config, judge.served(), related)
        before, after = answers(base, "evaluate base"), answers(candidate, "evaluate candidate")
        told = None
        if judge is not None:
            before, after, told = equivalence.adjudicate(
                asked, before, after, judge, judge.config, config.evaluation.seed
            )
        seen = ((segment.segment_id, segment.text) for segment in training)
        overlap = contamination.check(suites.unique_items(asked), itertools.chain(seen, _posed(store, run)))
    found = report.compare(
        asked,
        before,
        after,
        overlap,
        candidate=candidate,
        base=base,
        corpus=corpus,
        run=run,
        evaluation=config.evaluation,
        promotion=config.promotion,
        recipe=config.recipe,
        judge=told,
    )
    return Evaluated(report.save(store, found), found)


def harness(
    checkpoint: str, tasks: Sequence[str], config: Config, include: Path | None = None, limit: int | None = None
) -> dict[str, Any]:
    """Measure a checkpoint on tasks of lm-evaluation-harness; nothing is stored.

    Args:
        checkpoint: its reference.
        tasks: names of the harness's tasks, or of one's own in `include`.
        config: number format, device and batch size.
        include: a folder with task files.
        limit: items per task.

    Returns:
        Metrics by task.

    Raises:
        ConfigError: the harness is not installed, or a task cannot be run.
    """
    from spice.evaluation import harness as harnesses
    from spice.models.loading import load_model, load_tokenizer
    from spice.models.scoring import log_likelihoods
    from spice.rollout.transformers_engine import TransformersEngine
    from spice.training.process import prepare

    prepare(config.training.threads)
    folder = checkpoint_folder(checkpoint, open_store(config.store))
    model, tokenizer = load_model(folder, config.model.dtype, config.model.device), load_tokenizer(folder)
    lm = harnesses.as_lm(
        TransformersEngine(model, tokenizer, config.rollout.batch_tokens),
        tokenizer,
        lambda pairs: log_likelihoods(model, pairs, config.rollout.batch_tokens),
        int(model.config.max_position_embeddings),
    )
    return harnesses.evaluate(lm, tasks, include, limit)


def _answer(
    engine: Engine, tokenizer: Any, asked: Sequence[Suite], config: Config, report: Callable[[int, int], None]
) -> Results:
    from spice.evaluation import runner
    from spice.selfplay.verify import Verifier

    with Verifier(timeout_s=config.recipe.verify_seconds) as verifier:
        return runner.run(
            engine,
            tokenizer,
            asked,
            recipe=config.recipe,
            max_tokens=config.evaluation.max_tokens,
            verifier=verifier,
            report=report,
        )


def _posed(store: ObjectStore, run: str) -> Iterator[tuple[str, str]]:
    """Every task posed in a run, for the contamination check. Raises `IntegrityError`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for info in store.list(f"runs/{run}/tasks/"):
        try:
            table = pq.read_table(io.BytesIO(store.get(info.key)), columns=["question", "answer"], use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise IntegrityError(
                f"{info.key} in {store.url} is damaged, so nobody can tell which tasks were seen in training. "
                "Restore it from a backup, or train again."
            ) from error
        for number, row in enumerate(table.to_pylist()):
            if row["question"]:
                yield f"{info.key}#{number}", f"{row['question']} {row['answer']}"
