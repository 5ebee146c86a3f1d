r"""The paper's eleven benchmarks as data: where each lies, what its columns mean, how it is asked and graded.

Nothing here loads anything; `spice.evaluation.rows` does. The prompts are ours.
Columns and splits were read in public code that uses these data sets, revisions
likewise; where none was found there, `revision` is `main`, and only a copy made
by `spice suites fetch` stays the same.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spice.errors import ConfigError
from spice.selfplay.types import AnswerType

Extraction = Literal["boxed", "letter", "exact"]
Gold = Literal["text", "first", "hashes", "index", "letter"]

_MATHEMATICS = (
    "Solve this problem. Think step by step, and end with the final answer alone in \\boxed{{}}.\n\n{question}"
)
_LETTERED = (
    "Answer this question. Think step by step, and end with the letter of the right option in \\boxed{{}}.\n\n"
    "{question}\n\n{options}"
)
_EXACT = "Answer this question. Think step by step, and end with the final answer alone in \\boxed{{}}.\n\n{question}"


@dataclass(frozen=True)
class Columns:
    """Which columns hold what.

    Attributes:
        question: the question.
        answer: the gold answer.
        gold: how the answer stands there: as text; as the first entry of a list; after "####" at the end of a
            solution; as the number of an option, from 0; as the letter of an option.
        options: a list of options, in the order in which they are shown.
        wrong: one wrong option each; the right one is `answer`, and the order is drawn.
        cluster: items that share its value are not independent of each other.
    """

    question: str
    answer: str
    gold: Gold = "text"
    options: str | None = None
    wrong: tuple[str, ...] = ()
    cluster: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are read."""
        optional = (name for name in (self.options, self.cluster) if name is not None)
        return tuple(dict.fromkeys((self.question, self.answer, *self.wrong, *optional)))


@dataclass(frozen=True)
class Benchmark:
    r"""One benchmark.

    Attributes:
        name: what reports and settings call it.
        group: of the paper's two.
        hub_id: data set on the Hugging Face hub.
        config: its configuration there, `None` where it has one only.
        split: its split.
        revision: commit of the data set.
        licence: what its card or its makers say.
        columns: what its columns mean.
        prompt: what is asked, with `{question}` and `{options}`.
        extraction: how the answer is found and compared: from the last `\boxed{}` by the verifier; the letter of an
            option; or as text that must be the same.
        answer_type: how it is compared.
        size: items that it is known to have.
        samples: answers to each item; their mean is the metric.
        temperature: of sampling; 0 is greedy.
        gated: the hub wants terms to be accepted first.
    """

    name: str
    group: Literal["mathematics", "general"]
    hub_id: str
    config: str | None
    split: str
    revision: str
    licence: str
    columns: Columns
    prompt: str
    extraction: Extraction
    answer_type: AnswerType
    size: int
    samples: int = 1
    temperature: float = 0.0
    gated: bool = False

    @property
    def metric(self) -> str:
        """What the suite's rate is."""
        return "accuracy" if self.samples == 1 else f"mean of {self.samples} samples"


def _mathematics(
    name: str,
    hub_id: str,
    split: str,
    revision: str,
    licence: str,
    columns: Columns,
    size: int,
    config: str | None = None,
    samples: int = 1,
    temperature: float = 0.0,
) -> Benchmark:
    return Benchmark(
        name, "mathematics", hub_id, config, split, revision, licence, columns, _MATHEMATICS, "boxed", "expression",
        size, samples, temperature,
    )  # fmt: skip


def _lettered(
    name: str,
    hub_id: str,
    split: str,
    revision: str,
    licence: str,
    columns: Columns,
    size: int,
    config: str | None = None,
    gated: bool = False,
) -> Benchmark:
    return Benchmark(
        name, "general", hub_id, config, split, revision, licence, columns, _LETTERED, "letter", "string", size,
        gated=gated,
    )  # fmt: skip


BENCHMARKS: tuple[Benchmark, ...] = (
    _mathematics(
        "amc", "AI-MO/aimo-validation-amc", "train", "69d78a4a2c840e82d69af6bc742bda09005f6316", "Apache-2.0",
        Columns("problem", "answer"), 83,
    ),
    _mathematics(
        "minerva", "math-ai/minervamath", "test", "main", "not stated", Columns("question", "answer"), 272,
    ),
    _mathematics(
        "math500", "HuggingFaceH4/MATH-500", "test", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be", "MIT (MATH)",
        Columns("problem", "answer"), 500,
    ),
    _mathematics(
        "gsm8k", "openai/gsm8k", "test", "740312add88f781978c0658806c59bc2815b9866", "MIT",
        Columns("question", "answer", "hashes"), 1319, config="main",
    ),
    _mathematics(
        "olympiadbench", "Hothan/OlympiadBench", "train", "main", "Apache-2.0",
        Columns("question", "final_answer", "first"), 674, config="OE_TO_maths_en_COMP",
    ),
    _mathematics(
        "aime24", "HuggingFaceH4/aime_2024", "train", "2fe88a2f1091d5048c0f36abc874fb997b3dd99a", "not stated",
        Columns("problem", "answer"), 30, samples=32, temperature=0.6,
    ),
    _mathematics(
        "aime25", "math-ai/aime25", "test", "563bb8404243c5f09de6ec262f2db674fe5bce9b", "not stated",
        Columns("problem", "answer"), 30, samples=32, temperature=0.6,
    ),
    _lettered(
        "supergpqa", "m-a-p/SuperGPQA", "train", "4430d4458112c7d4497fdcf94d7cc223313d6acf", "ODC-BY",
        Columns("question", "answer_letter", "letter", options="options"), 26529,
    ),
    _lettered(
        "gpqa_diamond", "Idavidrein/gpqa", "train", "main", "CC-BY-4.0",
        Columns("Question", "Correct Answer", wrong=("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")),
        198, config="gpqa_diamond", gated=True,
    ),
    _lettered(
        "mmlu_pro", "TIGER-Lab/MMLU-Pro", "test", "b189ec765aa7ed75c8acfea42df31fdae71f97be", "MIT",
        Columns("question", "answer_index", "index", options="options"), 12032,
    ),
    Benchmark(
        "bbeh", "general", "BBEH/bbeh", None, "train", "main", "CC-BY-4.0",
        Columns("input", "target"), _EXACT, "exact", "string", 4520,
    ),
)  # fmt: skip


def chosen(names: Sequence[str]) -> list[Benchmark]:
    """The benchmarks of these names, in the paper's order; `all` stands for the eleven.

    Raises:
        ConfigError: there is no such benchmark; the message names the nearest.
    """
    known = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    for name in names:
        if name not in known and name != "all":
            (near,) = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise ConfigError(
                f"evaluation.benchmarks: there is no {name!r}; the nearest is {near!r}, and all are {', '.join(known)}"
            )
    return [benchmark for benchmark in BENCHMARKS if "all" in names or benchmark.name in names]
