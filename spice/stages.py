"""The stages: references in, references out.

Everything that passes between stages lies in the store, named by its digest.
So a stage runs the same in a process, a container or a pod, and can be
repeated.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice.config import Config
from spice.corpus import dataset
from spice.errors import ConfigError, IntegrityError, NotFoundError
from spice.ingesting import ingest, ingest_shard, merge_shards
from spice.models.catalog import checkpoint_folder, locate
from spice.promotion import gate, release
from spice.promotion import request as requests
from spice.promotion.gate import Decision
from spice.promotion.release import Status
from spice.promotion.switch import require_disengaged
from spice.selfplay.types import Document, Oracle, Task
from spice.store import ObjectStore, artifacts, open_store

if TYPE_CHECKING:
    from spice.evaluation.items import Results, Suite
    from spice.monitoring.report import DriftReport
    from spice.rollout.base import Engine
    from spice.training.loop import Progress, Trained
    from spice.trust.signing import Signer


__all__ = [
    "DriftChecked",
    "Evaluated",
    "coevolve",
    "decide",
    "drift_check",
    "evaluate",
    "ingest",
    "ingest_shard",
    "judge",
    "merge_shards",
    "promote",
    "request_promotion",
    "rollback",
    "train",
    "verify_promotion",
]


@dataclass(frozen=True)
class Evaluated:
    """A stored evaluation: its reference and the report itself."""

    ref: str
    report: dict[str, Any]


@dataclass(frozen=True)
class DriftChecked:
    """A stored drift check: its reference and the report itself."""

    ref: str
    report: DriftReport


def train(
    corpus: str,
    config: Config,
    run: str,
    *,
    resume: bool = False,
    progress: Progress,
    oracle: Oracle | None = None,
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Trained:
    """Let the model improve itself on a dataset version; see `spice.training.loop`.

    Where the true answers are known, an `oracle` grades every task; it measures and is never trained on.
    With `training.ranks` above 1 that many processes are started, unless `torchrun` has started this one already.

    Args:
        corpus: reference of the dataset version.
        config: of the run.
        run: its name.
        resume: go on with it.
        progress: told after each iteration.
        oracle: knows the true answers.
        waiting: a context in which this process, one of several ranks, waits for the others.

    Raises:
        RefusedError: the kill-switch is engaged or cannot be read, before or during training.
    """
    from spice.training.launch import is_rank, launch
    from spice.training.loop import Trained

    store = open_store(config.store)
    if config.training.ranks > 1 and not is_rank():
        if oracle is not None:
            raise ConfigError("training.ranks: where an oracle grades the tasks, one process trains; set it to 1.")
        require_disengaged(store)
        ending = launch(corpus, config, run, resume=resume, progress=progress)
        return Trained(run, ending.base, ending.checkpoints[-1][1], ending.checkpoints)

    from spice.learner.ranks import Ranks
    from spice.training.loop import train as play

    return play(
        store,
        corpus,
        [_document(segment) for segment in dataset.load(store, corpus, "train")],
        locate(config.model, store),
        config,
        run,
        resume=resume,
        progress=progress,
        permitted=lambda: require_disengaged(store),
        oracle=oracle,
        ranks=Ranks.from_environment(waiting=waiting),
    )


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
    held_out, training = dataset.load(store, corpus, "held_out"), dataset.load(store, corpus, "train")
    place = config.evaluation.benchmark_store
    copies = rows.open_copies(place, config.store) if place else None
    asked = suites.build(config.evaluation, held_out, training, copies)

    def answers(ref: str, who: str) -> Results:
        with _engine(store, ref, config) as (engine, tokenizer):
            return _answer(engine, tokenizer, asked, config, lambda done, total: progress(done, total, who))

    with ExitStack() as stack:
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
    seen = [(segment.segment_id, segment.text) for segment in training]
    overlap = contamination.check(suites.unique_items(asked), [*seen, *_posed(store, run)])
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


def coevolve(run: str, config: Config, *, progress: Progress, oracle: Oracle | None = None) -> None:
    """Let every checkpoint's Challenger meet every checkpoint's Reasoner (paper section 4).

    Held-out documents are used, so that no task was seen in training. Writes `runs/<run>/coevolution.json`.

    Args:
        run: whose checkpoints; of many, `evaluation.coevolution_checkpoints` are taken, evenly spread.
        config: documents, bootstrap and recipe.
        progress: told after each meeting.
        oracle: knows which answers are true, where anything does.

    Raises:
        NotFoundError: the run has no checkpoint yet.
    """
    import numpy as np

    from spice.evaluation import coevolution
    from spice.selfplay import recipes
    from spice.selfplay.types import NO_DOCUMENT
    from spice.selfplay.verify import Verifier
    from spice.text.spans import SpanIndex
    from spice.training.checkpoints import load_state
    from spice.training.play import Players, seed_stream
    from spice.training.process import prepare

    prepare(config.training.threads)
    store = open_store(config.store)
    state = load_state(store, run)
    if state is None:
        raise NotFoundError(f"Run {run} has no checkpoint yet.")
    # The first checkpoint is the base; any later one names the documents, under its digest.
    corpus = str(artifacts.manifest(store, state.checkpoints[-1][1]).get("corpus", ""))
    held_out = [_document(segment) for segment in dataset.load(store, corpus, "held_out")]
    chosen = held_out[:: max(1, len(held_out) // config.evaluation.coevolution_documents)]
    chosen = chosen[: config.evaluation.coevolution_documents]
    if recipes.resolve(config.recipe).source == "nothing":
        chosen = [NO_DOCUMENT] * len(chosen)
    checkpoints = coevolution.spread(state.checkpoints, config.evaluation.coevolution_checkpoints)
    posing = [(n, str(artifacts.manifest(store, ref).get("challenger", ref))) for n, ref in checkpoints]
    index = SpanIndex((document.id, document.text) for document in held_out)
    seeds, rng = seed_stream(config.evaluation.seed, 0), np.random.default_rng(config.evaluation.seed)
    total, done = len(checkpoints) ** 2, 0

    with Verifier(timeout_s=config.recipe.verify_seconds) as verifier:
        tokenizers: dict[int, Any] = {}

        @contextmanager
        def load(ref: str) -> Iterator[Engine]:
            with _engine(store, ref, config) as (engine, tokenizer):
                tokenizers[id(engine)] = tokenizer
                yield engine

        def players(engine: Engine) -> Players:
            return Players(engine, tokenizers[id(engine)], config.recipe, index, verifier)

        def pose(engine: Engine) -> dict[str, Task]:
            attempts = players(engine).challenge(chosen, seeds)
            firsts = [next((attempt.task for attempt in made if attempt.task), None) for made in attempts]
            return {f"{i:04d} {chosen[i].id}".rstrip(): task for i, task in enumerate(firsts) if task}

        def solve(engine: Engine, tasks: Sequence[Task]) -> list[coevolution.Solved]:
            nonlocal done
            answers = players(engine).answer(tasks, seeds)
            done += 1
            progress(done, total, "co-evolution")
            truths = [oracle(task) if oracle else None for task in tasks]
            return [
                coevolution.Solved(one.correct, None if truth is None else players(engine).rejudge(one, truth).correct)
                for one, truth in zip(answers, truths, strict=True)
            ]

        cells = coevolution.measure(
            checkpoints, load, pose, solve, posing=posing, samples=config.evaluation.bootstrap_samples, rng=rng
        )
    changes = coevolution.changes(cells, config.evaluation.bootstrap_samples, rng)
    found = {"cells": [asdict(cell) for cell in cells], "changes": [asdict(change) for change in changes]}
    store.put(f"runs/{run}/coevolution.json", json.dumps(found, sort_keys=True).encode())


def drift_check(reference: str, current: str, config: Config) -> DriftChecked:
    """Compare documents, tasks or traffic with what they were, and store the report; see `spice.monitoring.drift`.

    Args:
        reference: `datasets/<name>[@<tag>]`, `runs/<run>` or `traffic/`; what was.
        current: likewise; what is. The same run twice: its first iterations against its last.
        config: section `drift`.
    """
    from spice.monitoring import drift, report

    store = open_store(config.store)
    found = drift.check(store, reference, current, config.drift)
    return DriftChecked(report.save(store, found), found)


def decide(evaluation: str, config: Config) -> Decision:
    """Ask the gate about an evaluation; nothing is stored. Raises `RefusedError` if it cannot be judged."""
    return gate.judge(open_store(config.store), evaluation, config.promotion)


def request_promotion(
    decision: Decision, config: Config, signer: Signer, clock: Callable[[], datetime]
) -> tuple[str, str | None]:
    """Sign and store the gate's decision and, if it is a pass, ask for the release.

    Returns:
        References of the decision and of the request, `None` if the gate did not pass it.
    """
    store = open_store(config.store)
    recorded = gate.record(store, decision, signer, clock)
    gate.keep_policies(store, config.promotion)
    passed = decision.outcome == "pass"
    return recorded, requests.request(store, recorded, signer, clock) if passed else None


def judge(evaluation: str, config: Config, signer: Signer) -> tuple[str, Decision]:
    """Ask the gate about an evaluation, and sign and store its answer, a no as well as a pass.

    Returns:
        The reference of the decision, and the decision.
    """
    decision = decide(evaluation, config)
    store = open_store(config.store)
    gate.keep_policies(store, config.promotion)
    return gate.record(store, decision, signer), decision


def verify_promotion(request: str, config: Config, clock: Callable[[], datetime]) -> tuple[str, ...]:
    """Who approved a request, if it could be promoted now. Raises `RefusedError` if it could not; changes nothing."""
    return release.verify(open_store(config.store), request, config.promotion, clock)


def promote(request: str, config: Config, signer: Signer, clock: Callable[[], datetime]) -> Status:
    """Make the candidate of an approved request live; see `spice.promotion.release`."""
    return release.promote(open_store(config.store), request, signer, config.promotion, clock)


def rollback(to: str | None, reason: str, config: Config, signer: Signer, clock: Callable[[], datetime]) -> Status:
    """Go back to the release before the live one, or to the earlier release `to`."""
    return release.rollback(open_store(config.store), signer, clock, to, reason)


def _document(segment: dataset.Segment) -> Document:
    return Document(segment.segment_id, segment.source, segment.text, segment.title)


@contextmanager
def _engine(store: ObjectStore, ref: str, config: Config) -> Iterator[tuple[Engine, Any]]:
    """The engine of a checkpoint and its tokenizer, from files verified against their digests."""
    from spice.models.loading import load_tokenizer
    from spice.rollout.open import open_engine

    folder = checkpoint_folder(ref, store)
    engine = open_engine(folder, config.model, config.rollout)
    try:
        yield engine, load_tokenizer(folder)
    finally:
        engine.close()


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
