"""Procedural reasoning items with exact oracles, from reasoning-gym.

They say whether general ability was kept while the model learned from the
documents. A dataset's own oracle grades the boxed answer, so nothing of ours
has to know what, say, a sorted list looks like.

Only datasets whose oracle treats the answer as data are admitted. Some others
hand the model's answer to `eval` or sympy's parser, which would let a model run
code in the process that judges it.
"""

from __future__ import annotations

import difflib
import importlib.util
import sys
import warnings
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from spice.errors import ConfigError
from spice.evaluation.items import Grader, Item, Suite
from spice.selfplay.answers import extract_boxed
from spice.selfplay.types import Task, Verdict

# Their own oracles were read: they parse numbers or JSON, and evaluate nothing.
_REVIEWED = frozenset(
    ("chain_sum", "decimal_arithmetic", "decimal_chain_sum", "dice", "number_format", "number_sorting",
     "palindrome_generation", "products", "time_intervals", "word_sorting")
)  # fmt: skip


def build_suite(names: Sequence[str], count: int, seed: int, name: str = "reasoning") -> Suite:
    """Draw `count` items, in equal parts from each named dataset.

    Every item is a cluster of its own: a generator draws them independently.

    Raises:
        ConfigError: a name is unknown or not admitted, or reasoning-gym is not installed.
    """
    entries: dict[str, tuple[Any, dict[str, Any]]] = {}
    items = []
    for position, dataset_name in enumerate(names):
        share = count // len(names) + (position < count % len(names))
        dataset = _create(dataset_name, seed, share)
        for number in range(share):
            entry = dataset[number]
            item_id = f"{dataset_name}-{number:04d}"
            entries[item_id] = dataset, entry
            task = Task(format="free_form", question=entry["question"].strip(), answer=str(entry["answer"]))
            items.append(Item(item_id, item_id, task, f"{task.question} {task.answer}"))
    return Suite(name, "reasoning", tuple(items), grade=_grader(entries))


def admitted() -> list[str]:
    """Names of the datasets that can be asked for, in order. Raises `ConfigError` without reasoning-gym."""
    factory, base = _library()
    return sorted(
        name
        for name, (kind, _) in factory.DATASETS.items()
        if kind.score_answer is base.score_answer or name in _REVIEWED
    )


def _create(name: str, seed: int, size: int) -> Any:
    names = admitted()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
        known = name in _library()[0].DATASETS
        problem = "has an oracle that may execute the answer" if known else "is not a reasoning-gym dataset"
        raise ConfigError(
            f"evaluation.reasoning_tasks: {name!r} {problem}; the nearest that can be used is {near[0]!r}"
        )
    return _library()[0].create_dataset(name, seed=seed, size=max(1, size))


def _grader(entries: Mapping[str, tuple[Any, dict[str, Any]]]) -> Grader:
    def grade(responses: Sequence[tuple[str, Item]]) -> list[Verdict]:
        verdicts = []
        for response, item in responses:
            answer = extract_boxed(response)
            dataset, entry = entries[item.id]
            correct = answer is not None and dataset.score_answer(answer.strip(), entry) == 1.0
            verdicts.append(Verdict(correct, answer))
        return verdicts

    return grade


def _library() -> tuple[Any, Any]:
    if "pycosat" not in sys.modules and importlib.util.find_spec("pycosat") is None:
        # It needs a C compiler to install. reasoning-gym always imports it, and no admitted dataset calls it.
        sys.modules["pycosat"] = ModuleType("pycosat")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of packages that it imports, at their first compilation
            from reasoning_gym import factory
            from reasoning_gym.dataset import ProceduralDataset
    except ImportError as error:
        raise ConfigError(
            "evaluation.reasoning_items needs reasoning-gym: install it as docs/development.md says, or set it to 0"
        ) from error
    return factory, ProceduralDataset
