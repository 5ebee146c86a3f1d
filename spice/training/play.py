"""The two roles at work: the Challenger poses tasks about documents, the Reasoner answers them without.

Used by training, by the co-evolution figure and by the gold audit alike. All
prompts of a phase go to the engine in one call, so that it can batch them.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spice.config import RecipeConfig
from spice.rollout.base import Completion, Engine, Grammar, Request
from spice.selfplay import ladder, schema, short
from spice.selfplay.format import SELECTOR_PATTERN, SELECTOR_TOKENS, select_format, selector_messages
from spice.selfplay.prompts import Message, challenger_messages, reasoner_messages, render
from spice.selfplay.sampling import keep_attempts
from spice.selfplay.types import NO_DOCUMENT, Document, Task, TaskFormat, Verdict
from spice.selfplay.validity import validity
from spice.selfplay.verify import Verifier
from spice.text.spans import SpanIndex

Seeds = Callable[..., int]
_OPTIONS = 4
_BLIND_QUESTION = "Which of the options is right?"


@dataclass(frozen=True)
class Attempt:
    """One Challenger output about one document.

    Attributes:
        document: what it read; `NO_DOCUMENT` if it works without a corpus.
        prompt: the Challenger's prompt, token ids.
        completion: what it wrote; `None` if nobody wrote anything, because the task was given.
        task: the task, or `None` if invalid.
        reason: why it is invalid, or "".
        checks: every measured check by name; empty where nothing could be parsed.
        kind: of task that was asked for, where a recipe has several (Absolute Zero).
    """

    document: Document
    prompt: tuple[int, ...]
    completion: Completion | None
    task: Task | None
    reason: str
    checks: dict[str, bool]
    kind: str = ""


@dataclass(frozen=True)
class Answers:
    """The Reasoner's G answers to one task.

    Attributes:
        prompts: the Reasoner's prompts, token ids, one for each answer; they differ in the order of the options only.
        completions: what it wrote, G of them.
        verdicts: one each.
        shown: the task as each answer saw it, its options in that order.
    """

    prompts: list[tuple[int, ...]]
    completions: list[Completion]
    verdicts: list[Verdict]
    shown: list[Task]

    @property
    def correct(self) -> list[bool]:
        """Which answers equal the gold answer."""
        return [verdict.correct for verdict in self.verdicts]


class Players:
    """Both roles on one engine. They share its weights; what tells them apart is the prompt."""

    def __init__(
        self, engine: Engine, tokenizer: Any, recipe: RecipeConfig, index: SpanIndex, verifier: Verifier
    ) -> None:
        """Set the table.

        Args:
            engine: generates with the policy's weights.
            tokenizer: its tokenizer.
            recipe: formats, templates, group sizes, temperature, validity.
            index: spans of the training documents, for wrong options.
            verifier: judges answers.
        """
        self._engine = engine
        self._tokenizer = tokenizer
        self._recipe = recipe
        self._index = index
        self._verifier = verifier

    def challenge(
        self, documents: Sequence[Document], seeds: Seeds, places: Sequence[int] | None = None
    ) -> list[list[Attempt]]:
        """Pose tasks about each document until G attempts are there and one is valid, at most N (paper section 3).

        Of a document's attempts G are kept, at the ratio of valid to invalid ones sampled.

        Args:
            documents: what to ask about.
            seeds: of the iteration.
            places: of the right options, by document, where these documents are a share of a larger batch.

        Returns:
            The kept attempts, by document.
        """
        formats = self._formats(documents, seeds)
        grammars = [self._grammar(document, form) for document, form in zip(documents, formats, strict=True)]
        places = self.places(len(documents), seeds) if places is None else places
        attempts: list[list[Attempt]] = [[] for _ in documents]
        free = self._recipe.template == "ladder"  # decodes without a grammar
        open_ = [i for i, grammar in enumerate(grammars) if free or grammar is not None]
        while open_:
            sampled = min(len(attempts[i]) for i in open_)
            requests = [
                Request(
                    render(self._tokenizer, challenger_messages(documents[i], formats[i], self._recipe)),
                    n=min(self._recipe.attempts, self._recipe.max_attempts - sampled),
                    max_tokens=self._recipe.challenger_tokens,
                    temperature=self._recipe.temperature,
                    grammar=grammars[i],
                    seed=seeds("challenge", i, sampled),
                )
                for i in open_
            ]
            for i, request, completions in zip(open_, requests, self._engine.generate(requests), strict=True):
                rng = random.Random(seeds("options", i, sampled))
                attempts[i] += [
                    self._attempt(documents[i], formats[i], request.prompt, completion, rng, places[i])
                    for completion in completions
                ]
            open_ = [
                i
                for i in open_
                if len(attempts[i]) < self._recipe.max_attempts and not any(a.task for a in attempts[i])
            ]
        kept = []
        for i, made in enumerate(attempts):
            valid = [attempt.task is not None for attempt in made]
            rng = random.Random(seeds("keep", i))
            kept.append([made[k] for k in keep_attempts(valid, self._recipe.attempts, rng)])
        return kept

    def places(self, documents: int, seeds: Seeds) -> list[int]:
        """Where the right option of each of a batch's documents goes; see `_balanced`."""
        return _balanced(documents, random.Random(seeds("places")))

    def propose(
        self, messages: Sequence[Sequence[Message]], grammars: Sequence[Grammar | None], seeds: Seeds
    ) -> list[tuple[tuple[int, ...], list[Completion]]]:
        """Let the Challenger write G times to each of some messages; each prompt with what was written."""
        requests = [
            Request(
                render(self._tokenizer, asked),
                n=self._recipe.attempts,
                max_tokens=self._recipe.challenger_tokens,
                temperature=self._recipe.temperature,
                grammar=grammar,
                seed=seeds("challenge", i, 0),
            )
            for i, (asked, grammar) in enumerate(zip(messages, grammars, strict=True))
        ]
        written = self._engine.generate(requests)
        return [(request.prompt, completions) for request, completions in zip(requests, written, strict=True)]

    def answer(self, tasks: Sequence[Task], seeds: Seeds, group: int | None = None) -> list[Answers]:
        """Answer each task G times, or `group` times, without its document; equal tasks once if the recipe says so."""
        if len(distinct := self.distinct(tasks)) < len(tasks):
            shared = dict(zip(distinct, self.answer(distinct, seeds, group), strict=True))
            return [shared[task] for task in tasks]
        group, temperature = group or self._recipe.group_size, self._recipe.temperature
        views = [
            (i, view, n, seeds("answer", i, j))
            for i, task in enumerate(tasks)
            for j, (view, n) in enumerate(_views(task, group, self._recipe.option_orders))
        ]
        prompts = [render(self._tokenizer, reasoner_messages(view, self._recipe)) for _, view, _, _ in views]
        requests = [
            self._request(prompt, n, temperature, seed) for prompt, (_, _, n, seed) in zip(prompts, views, strict=True)
        ]
        return self._judged(len(tasks), [(i, view) for i, view, _, _ in views], requests)

    def distinct(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks that are answered: each of them, or equal ones once if the recipe says so."""
        return list(dict.fromkeys(tasks)) if self._recipe.share_answers else list(tasks)

    def audit(self, tasks: Sequence[tuple[Task, Document]]) -> list[Answers]:
        """Answer each task once, greedily, *with* its document: does the policy agree with the gold answer?"""
        prompts = [
            render(self._tokenizer, reasoner_messages(task, self._recipe, document=document.text))
            for task, document in tasks
        ]
        requests = [self._request(prompt, 1, 0.0, 0) for prompt in prompts]
        return self._judged(len(tasks), [(i, task) for i, (task, _) in enumerate(tasks)], requests)

    def guess(self, tasks: Sequence[Task]) -> list[Answers]:
        """Answer each multiple-choice task once, greedily, from its options alone: do they give the answer away?"""
        blind = [replace(task, question=_BLIND_QUESTION) for task in tasks]
        prompts = [render(self._tokenizer, reasoner_messages(task, self._recipe)) for task in blind]
        requests = [self._request(prompt, 1, 0.0, 0) for prompt in prompts]
        return self._judged(len(tasks), list(enumerate(tasks)), requests)

    def rejudge(self, answers: Answers, gold: str) -> Answers:
        """The same answers, judged as if `gold` were the gold answer."""
        shown = [replace(task, answer=gold) for task in answers.shown]
        pairs = [(c.text, task) for c, task in zip(answers.completions, shown, strict=True)]
        return replace(answers, verdicts=self._verifier.check(pairs), shown=shown)

    def agree(self, task: Task, answer: str) -> bool:
        """Say whether `answer` equals a task's gold answer."""
        return self._verifier.check([(f"\\boxed{{{answer}}}", task)])[0].correct

    def _request(self, prompt: tuple[int, ...], n: int, temperature: float, seed: int) -> Request:
        return Request(prompt, n=n, max_tokens=self._recipe.reasoner_tokens, temperature=temperature, seed=seed)

    def _judged(self, tasks: int, views: Sequence[tuple[int, Task]], requests: Sequence[Request]) -> list[Answers]:
        """Generate, verify, and gather by task; `views` says which task each request shows, and how."""
        generated = self._engine.generate(requests)
        pairs = [(c.text, view) for (_, view), group in zip(views, generated, strict=True) for c in group]
        verdicts = iter(self._verifier.check(pairs))
        answers = [Answers([], [], [], []) for _ in range(tasks)]
        for (i, view), request, group in zip(views, requests, generated, strict=True):
            answers[i].prompts.extend([request.prompt] * len(group))
            answers[i].completions.extend(group)
            answers[i].verdicts.extend(next(verdicts) for _ in group)
            answers[i].shown.extend([view] * len(group))
        return answers

    def _formats(self, documents: Sequence[Document], seeds: Seeds) -> list[TaskFormat]:
        """The task format of each document; the policy is asked only where the recipe leaves a choice."""
        formats = self._recipe.formats
        if len(formats) == 1:
            return [formats[0]] * len(documents)
        requests = [
            Request(
                render(self._tokenizer, selector_messages(document)),
                max_tokens=SELECTOR_TOKENS,
                temperature=self._recipe.temperature,
                grammar=Grammar("regex", SELECTOR_PATTERN),
                seed=seeds("format", i),
            )
            for i, document in enumerate(documents)
        ]
        chosen = self._engine.generate(requests)
        return [select_format(d, formats, c[0].text) for d, c in zip(documents, chosen, strict=True)]

    def _grammar(self, document: Document, task_format: TaskFormat) -> Grammar | None:
        """What the Challenger's output must match, or `None` if the document offers nothing to ask for."""
        if self._recipe.template == "ladder":
            return None
        if self._recipe.template == "full":
            return Grammar("json_schema", json.dumps(schema.challenger_schema(task_format, document != NO_DOCUMENT)))
        if document == NO_DOCUMENT:
            return Grammar("lark", short.ungrounded_grammar(task_format))
        text = short.grammar(document, self._recipe, self._index)
        return None if text is None else Grammar("lark", text)

    def _attempt(
        self,
        document: Document,
        task_format: TaskFormat,
        prompt: tuple[int, ...],
        completion: Completion,
        rng: random.Random,
        place: int,
    ) -> Attempt:
        if self._recipe.template == "full":
            task = schema.parse_full(completion.text, task_format, document != NO_DOCUMENT)
        elif self._recipe.template == "ladder":
            task = ladder.parse(completion.text, document)
        else:
            task = short.parse(completion.text, document, task_format, self._index, rng, place)
        if isinstance(task, str):
            reason = "cut off at the length limit" if completion.finish == "length" else task
            return Attempt(document, prompt, completion, None, reason, {})
        valid, reason, checks = validity(task, document, self._recipe)
        return Attempt(document, prompt, completion, task if valid else None, reason, checks)


def _views(task: Task, group: int, orders: int) -> list[tuple[Task, int]]:
    """The orders in which a task's options are shown, and to how many of the group each.

    The first is the task's own; the others turn the options on. A policy that
    follows the place and not the content then meets the right answer in part of
    its group, whatever its habit, instead of always or never.
    """
    k = max(1, min(orders, len(task.options), group))
    turns = [j * len(task.options) // k for j in range(k)]
    shares = [group // k + (j < group % k) for j in range(k)]
    return [
        (replace(task, options=task.options[turn:] + task.options[:turn]), n)
        for turn, n in zip(turns, shares, strict=True)
    ]


def _balanced(n: int, rng: random.Random) -> list[int]:
    """Places for the right options of n documents' tasks, each of four equally often, in random order.

    Over a batch that is even in this way, always choosing one place earns the
    mean reward and so no advantage. Left to chance, a batch of few documents
    pays one place more than the others, and a small model takes that up at once.
    """
    places = [i % _OPTIONS for i in range(n)]
    rng.shuffle(places)
    return places


def seed_stream(seed: int, iteration: int) -> Seeds:
    """Seeds for the draws of one iteration: `seeds("answer", 3)` depends on nothing but its arguments and these."""

    def derive(*parts: str | int) -> int:
        return int.from_bytes(hashlib.sha256(repr((seed, iteration, parts)).encode()).digest()[:8], "big")

    return derive
