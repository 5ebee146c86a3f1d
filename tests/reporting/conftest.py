"""A run as training would leave it, on a folder store: 24 iterations, with evaluation, gate and co-evolution."""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spice.config import Config, StoreConfig
from spice.promotion import evidence, gate
from spice.store import ObjectStore, artifacts, open_store
from spice.trust.keys import create_signer, load_signer
from spice.trust.register import register

COUNTRIES = {
    "Albania": ("Tirana", "Ottoman Empire", "leke"),
    "Algeria": ("Algiers", "France", "dinars"),
    "Latvia": ("Riga", "the Soviet Union", "euros"),
    "Bolivia": ("Sucre", "Spain", "bolivianos"),
    "Chad": ("N'Djamena", "France", "francs"),
    "Ghana": ("Accra", "the United Kingdom", "cedis"),
    "Samoa": ("Apia", "New Zealand", "tala"),
    "Malta": ("Valletta", "the United Kingdom", "euros"),
}
ATTEMPT = pa.schema(
    [
        ("iteration", pa.int32()),
        ("document", pa.string()),
        ("source", pa.string()),
        ("valid", pa.bool_()),
        ("reason", pa.string()),
        ("raw", pa.string()),
        ("format", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("answer_type", pa.string()),
        ("options", pa.list_(pa.string())),
        ("reward", pa.float64()),
        ("pass_rate", pa.float64()),
        ("responses", pa.list_(pa.string())),
        ("extracted", pa.list_(pa.string())),
        ("correct", pa.list_(pa.bool_())),
        ("trained", pa.bool_()),
        ("audit_answer", pa.string()),
        ("audit_agrees", pa.bool_()),
        ("grounded", pa.bool_()),
        ("standalone", pa.bool_()),
        ("unleaked", pa.bool_()),
    ]
)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(StoreConfig(url=str(tmp_path / "store")), {})


@pytest.fixture
def make_run(store: ObjectStore) -> Callable[..., ObjectStore]:
    """Fill the store with a run; `until` stops it after that part."""

    def make(name: str = "factbook-0", *, iterations: int = 24, until: str = "request") -> ObjectStore:
        parts = ["train", "coevolution", "evaluate", "decide", "request"]
        return write_run(store, name, iterations, parts[: parts.index(until) + 1])

    return make


@pytest.fixture
def fill() -> Callable[..., ObjectStore]:
    """Fill a store with a short run whose documents, tasks and evaluation all say `text`."""

    def fill(store: ObjectStore, name: str, text: str = "") -> ObjectStore:
        return write_run(store, name, 4, ["train", "coevolution", "evaluate", "decide", "request"], text)

    return fill


def write_run(store: ObjectStore, name: str, iterations: int, parts: list[str], text: str = "") -> ObjectStore:
    rng = random.Random(7)
    segments = [passage(country, *facts, text) for country, facts in COUNTRIES.items()]
    fields = {"name": "factbook", "counts": {"documents_train": 210, "documents_held_out": 52}}
    corpus = artifacts.write(
        store,
        "datasets/factbook",
        {"segments-00000.parquet": parquet(segments), "clusters.parquet": parquet([]), "left_out.jsonl": b""},
        fields,
    )
    base = artifacts.write(store, "checkpoints", {"model.safetensors": b"before"}, {"step": 0})
    info = {"status": "running", "corpus": corpus, "base": base, "code": "0.1.0+8b587c1"}
    put(store, f"runs/{name}/config.json", Config().model_dump(mode="json"))
    for iteration in range(1, iterations + 1):
        put(store, f"runs/{name}/iterations/{iteration:06d}.json", metrics(iteration, iterations, rng))
        rows = [attempt(iteration, segment, rng, text) for segment in segments for _ in range(3)]
        store.put(f"runs/{name}/tasks/{iteration:06d}.parquet", parquet(rows, ATTEMPT))
    origin = {"base": base, "corpus": corpus, "run": name, "iteration": iterations, "code": info["code"]}
    info["checkpoint"] = artifacts.write(store, "checkpoints", {"model.safetensors": b"after"}, origin)
    if "coevolution" in parts:
        put(store, f"runs/{name}/coevolution.json", coevolution(iterations))
    if "evaluate" in parts:
        report = evaluation(info["checkpoint"], base, corpus, name, text)
        info["evaluation"] = artifacts.write_json(store, "evaluations", report)
    if "decide" in parts:
        info["decision"] = decide(store, info["evaluation"])
    if "request" in parts:
        info |= {"status": "finished", "request": "requests/" + "5" * 64}
    put(store, f"runs/{name}/run.json", info)
    return store


def decide(store: ObjectStore, evaluation: str) -> str:
    keys = Path(store.url).parent / "keys"
    if keys.exists():
        signer = load_signer("local", keys)
    else:
        signer = create_signer("local", keys)
        register(store, signer, ["requester"])
    config = Config().promotion
    return gate.record(store, gate.decide(evidence.gather(store, evaluation, config), config), signer)


def put(store: ObjectStore, key: str, value: Any) -> None:
    store.put(key, json.dumps(value).encode())


def parquet(rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out)
    return out.getvalue()


def passage(country: str, capital: str, ruler: str, money: str, more: str) -> dict[str, Any]:
    text = (
        f"The capital of {country} is {capital}{more}. "
        f"{country} became independent from {ruler} in 19{len(country) + 50}. "
        f"The form of government of {country} is a parliamentary democracy. "
        f"Prices in {country} are paid in {money}.\n\n"
        f"The national holiday of {country} is Independence Day. People in {country} may vote from the age of 18.{more}"
    )
    return {
        "segment_id": f"{country.lower()}#0",
        "document_id": country.lower(),
        "source": f"{country.lower()}.md",
        "title": country + more,
        "text": text,
        "split": "train",
    }


def attempt(iteration: int, segment: dict[str, Any], rng: random.Random, more: str) -> dict[str, Any]:
    country = segment["title"].removesuffix(more)
    capital = COUNTRIES[country][0] + more
    row: dict[str, Any] = {
        "iteration": iteration,
        "document": segment["segment_id"],
        "source": segment["source"],
        "valid": rng.random() < 0.5 + iteration / 80,
        "raw": f'{{"question": "What is the capital of the country?", "answer": "{capital}"}}',
        "format": "multiple_choice",
    }
    if not row["valid"]:
        return row | {"reason": "the question does not name its subject" + more, "reward": -0.1, "pass_rate": math.nan}
    others = [facts[0] + more for facts in COUNTRIES.values() if facts[0] + more != capital]
    options = [*rng.sample(others, 3), capital]
    rng.shuffle(options)
    given = [rng.choice([*options, capital, capital]) for _ in range(8)]
    rate = sum(answer == capital for answer in given) / 8
    return row | {
        "question": f"What is the capital of {country}{more}?",
        "answer": capital,
        "answer_type": "string",
        "options": options,
        "reward": math.exp(-((rate * (1 - rate) - 0.25) ** 2) / 0.02),
        "pass_rate": rate,
        "responses": [f"The answer is \\boxed{{{answer}}}" for answer in given],
        "extracted": given,
        "correct": [answer == capital for answer in given],
        "trained": rng.random() < 0.3,
        "audit_answer": capital,
        "audit_agrees": True,
    }


def metrics(iteration: int, iterations: int, rng: random.Random) -> dict[str, Any]:
    done = iteration / iterations
    noise = lambda: rng.gauss(0, 0.03)  # noqa: E731
    return {
        "iteration": iteration,
        "challenger": {
            "reward_mean": 0.12 + 0.15 * done + noise(),
            "valid_rate": 0.52 + 0.3 * done + noise(),
            "attempts": 32,
            "entropy": 1.4 - 0.5 * done + noise(),
            "tokens_mean": 26 - 4 * done + rng.gauss(0, 1),
            "truncated": 0.02,
        },
        "reasoner": {
            "reward_mean": 0.18 + 0.1 * done + noise(),
            "pass_rate": 0.18 + 0.12 * done + noise(),
            "entropy": 0.9 - 0.4 * done + noise(),
            "tokens_mean": 11 - 2 * done + rng.gauss(0, 0.5),
            "truncated": 0.1,
        },
        "tasks": {
            "valid": 20,
            "zero_variance_share": 0.55 + noise(),
            "all_wrong_share": 0.45 + noise(),
            "all_right_share": 0.1,
        },
        "audit": {"n": 8, "agree_share": 0.6 + rng.randint(-1, 2) / 8},
        "health": {"near_duplicate_rate": 0.1 + done / 5, "distinct_2": 0.7},
        "warnings": [f"one question makes up {iteration + 40}% of all"] if iteration in (19, 22) else [],
        "learner": {
            "loss": 0.01,
            "grad_norm": 0.8 + noise() * 5,
            "logprob_gap_mean": 0.01,
            "logprob_gap_max": 0.2,
            "importance_ess": 0.99,
            "role_norms": {"challenger": 0.5 + noise(), "reasoner": 0.6 + noise()},
        },
        "speed": {
            "generated_tokens_per_second": 700 + noise(),
            "trained_tokens_per_second": 2000 + noise(),
            "engine_idle_share": 0.3,
            "padding_share": 0.0,
            "mfu": None,
        },
        "seconds": {"challenge": 6.6, "answer": 11.4, "audit": 1.1, "update": 15 + rng.gauss(0, 1), "total": 36.0},
    }


def coevolution(iterations: int) -> dict[str, Any]:
    def rate(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.07, "high": value + 0.07}

    saved = [step * iterations // 4 for step in range(5)]
    cells = [
        {"challenger": c, "reasoner": r, "tasks": 128, "passed": rate(0.55 + 0.3 * j / 4 - 0.2 * i / 4), "true": None}
        for i, c in enumerate(saved)
        for j, r in enumerate(saved)
    ]
    moved = (("early_challenger", 0.3), ("early_reasoner", -0.2))
    return {"cells": cells, "changes": [{"series": name, "passed": rate(by), "true": None} for name, by in moved]}


def evaluation(candidate: str, base: str, corpus: str, run: str, more: str) -> dict[str, Any]:
    def rate(correct: int, n: int) -> dict[str, Any]:
        return {
            "rate": correct / n,
            "low": max(0.0, correct / n - 0.05),
            "high": min(1.0, correct / n + 0.06),
            "correct": correct,
            "unanswered": 0,
            "truncated": 0,
        }

    def suite(kind: str, n: int, before: int, after: int, half: float, verdict: str) -> dict[str, Any]:
        value = (after - before) / n
        return {
            "n": n,
            "kind": kind,
            "metric": "accuracy",
            "clusters": max(10, n // 5),
            "base": rate(before, n),
            "candidate": rate(after, n),
            "difference": {
                "value": value,
                "low": value - half,
                "high": value + half,
                "method": "paired bootstrap, clustered",
                "lower_bound": value - half * 0.8,
            },
            "discordant": abs(after - before) + 4,
            "mcnemar_p": 0.0004 if verdict == "better" else 0.25,
            "p_value": 0.003 if verdict == "better" else 0.3,
            "holm_p": 0.006 if verdict == "better" else 0.31,
            "margin": 0.05,
            "verdict": verdict,
            "reason": ("the interval lies above 0" if verdict == "better" else "a loss cannot be excluded") + more,
        }

    return {
        "candidate": candidate,
        "base": base,
        "corpus": corpus,
        "run": run,
        "suites": {
            "cloze": suite("cloze", 240, 38, 71, 0.0625, "better"),
            "cloze_forced": suite("cloze", 240, 78, 111, 0.07, "better"),
            f"reasoning{more}": suite("reasoning", 60, 1, 3, 0.06, "inconclusive"),
        },
        "contamination": {"n_gram": 13, "items": 300, "testable": 246, "hits": 0, "share": 0.0, "examples": []},
        "items": {},
        "settings": {
            "seed": 1,
            "bootstrap_samples": 1000,
            "max_tokens": 24,
            "template": "short",
            "few_shot": 3,
            "min_improvement": 0.0,
            "regression_margin": 0.05,
        },
    }
