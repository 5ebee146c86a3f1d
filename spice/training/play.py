"""The two roles at work: the Challenger poses tasks about documents, the Reasoner answers them without.

Used by training, by the co-evolution figure and by the gold audit alike. All
prompts of a phase are under way in the engine together, so that it can batch them.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, cast

from spice.config import RecipeConfig
from spice.rollout.base import Completion, Engine, Grammar, Request
from spice.selfplay import ladder, schema, short
from spice.selfplay.format import SELECTOR_PATTERN, SELECTOR_TOKENS, select_format, selector_messages
from spice.selfplay.prompts import Message, challenger_messages, reasoner_messages, render
from spice.selfplay.sampling import keep_attempts
from spice.selfplay.types import NO_DOCUMENT, Document, Documents, Task, TaskFormat
from spice.selfplay.validity import validity
from spice.selfplay.verify import Verifier
from spice.text.spans import SpanIndex, indexed
from spice.training.answering import Answering, Name
from spice.training.outputs import Answers, Attempt
from spice.training.rounds import Counted, Rounds, is_attempt

Seeds = Callable[..., int]
_OPTIONS = 4
_BLIND_QUESTION = "Which of the options is right?"


def span_index(documents: Documents, recipe: RecipeConfig) -> SpanIndex:
    """The spans that wrong options come from. Only the short template takes any, and reading for them takes long."""
    read = indexed(len(documents)) if recipe.template == "short" else ()
    return SpanIndex((one.id, one.text) for one in map(documents.__getitem__, read))


class Players:
    """Both roles on one engine. They share its weights; what tells them apart is the prompt."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: Any,
        recipe: RecipeConfig,
        index: SpanIndex,
        verifier: Verifier,
        overlap: bool = False,
    ) -> None:
        """Set the table.

        Args:
            engine: generates with the policy's weights.
            tokenizer: its tokenizer.
            recipe: formats, templates, group sizes, temperature, validity.
            index: spans of the training documents, for wrong options.
            verifier: judges answers.
            overlap: begin to answer while attempts are still under way.
        """
        self._engine = engine
        self._tokenizer = tokenizer
        self._recipe = recipe
        self._index = index
        self._verifier = verifier
        self.overlap = overlap

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
        rounds = self._rounds(documents, seeds, places)
        stream = self._engine.stream()
        try:
            rounds.begin(stream)
            while len(stream):
                for one in stream.step():
                    rounds.take(stream, one)
        finally:
            stream.close()
        return self._kept(rounds, len(documents), seeds)

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

    def answer(
        self, tasks: Sequence[Task], seeds: Seeds, group: int | None = None, names: Sequence[Name] | None = None
    ) -> list[Answers]:
        """Answer each task G times without its document; equal tasks once if the recipe says so.

        Args:
            tasks: what is asked.
            seeds: of the iteration.
            group: answers by task, if not G.
            names: what the draws of each task depend on; its place among `tasks` if none.
        """
        named = list(zip(names or [(i,) for i in range(len(tasks))], tasks, strict=True))
        answering = self._answering(seeds, group)
        stream = self._engine.stream()
        try:
            for name, task in named:
                answering.add(stream, name, task)
            while len(stream):
                for one in stream.step():
                    answering.take(one)
        finally:
            stream.close()
        return answering.judged(named, self._verifier)

    def play(
        self,
        documents: Sequence[Document],
        seeds: Seeds,
        *,
        poser: Players | None = None,
        group: int | None = None,
        places: Sequence[int] | None = None,
        posed: Callable[[], None] = lambda: None,
    ) -> list[list[tuple[Attempt, Answers | None]]]:
        """Pose tasks about documents and answer them: `challenge` and `answer`, at once or one after the other.

        If `overlap` was set, the answers to a task begin when it is known to count, beside the attempts that are
        still under way. What comes out is the same.

        Args:
            documents: what to ask about.
            seeds: of the iteration.
            poser: who poses the tasks, if not these players.
            group: answers by task, if not G.
            places: see `challenge`.
            posed: called when the last attempt is in.

        Returns:
            The kept attempts, by document, each with its answers if it is valid.
        """
        poser = poser or self
        rounds, answering = poser._rounds(documents, seeds, places), self._answering(seeds, group)
        asked = poser._engine.stream()
        answered = asked if poser._engine is self._engine else self._engine.stream()
        counted: list[Counted[Attempt]] = []
        posing = True
        try:
            rounds.begin(asked)
            while len(asked) or len(answered):
                for one in [*asked.step(), *(answered.step() if answered is not asked else ())]:
                    if is_attempt(one):
                        counted += rounds.take(asked, one)
                    else:
                        answering.take(one)
                if posing and rounds.over:
                    posing = False
                    posed()
                if self.overlap or not posing:
                    for valid in counted:
                        answering.add(answered, (valid.document, valid.place), cast("Task", valid.attempt.task))
                    counted.clear()
        finally:
            asked.close()
            answered.close()
        if posing:
            posed()
        kept = poser._kept(rounds, len(documents), seeds)
        named = [((i, k), a.task) for i, attempts in enumerate(kept) for k, a in enumerate(attempts) if a.task]
        judged = iter(answering.judged(named, self._verifier))
        return [[(attempt, next(judged) if attempt.task else None) for attempt in attempts] for attempts in kept]

    def audit(self, tasks: Sequence[tuple[Task, Document]]) -> list[Answers]:
        """Answer each task once, greedily, *with* its document: does the policy agree with the gold answer?"""
        prompts = [
            render(self._tokenizer, reasoner_messages(task, self._recipe, document=document.text))
            for task, document in tasks
        ]
        return self._answered_once([task for task, _ in tasks], prompts)

    def guess(self, tasks: Sequence[Task]) -> list[Answers]:
        """Answer each multiple-choice task once, greedily, from its options alone: do they give the answer away?"""
        blind = [replace(task, question=_BLIND_QUESTION) for task in tasks]
        return self._answered_once(
            tasks, [render(self._tokenizer, reasoner_messages(task, self._recipe)) for task in blind]
        )

    def rejudge(self, answers: Answers, gold: str) -> Answers:
        """The same answers, judged as if `gold` were the gold answer."""
        shown = [replace(task, answer=gold) for task in answers.shown]
        pairs = [(c.text, task) for c, task in zip(answers.completions, shown, strict=True)]
        return replace(answers, verdicts=self._verifier.check(pairs), shown=shown)

    def agree(self, task: Task, answer: str) -> bool:
        """Say whether `answer` equals a task's gold answer."""
        return self._verifier.check([(f"\\boxed{{{answer}}}", task)])[0].correct

    def _rounds(self, documents: Sequence[Document], seeds: Seeds, places: Sequence[int] | None) -> Rounds[Attempt]:
        """The attempts at some documents, none of which has been asked for yet."""
        formats = self._formats(documents, seeds)
        grammars = [self._grammar(document, form) for document, form in zip(documents, formats, strict=True)]
        right = self.places(len(documents), seeds) if places is None else places

        @cache
        def prompt(i: int) -> tuple[int, ...]:
            return render(self._tokenizer, challenger_messages(documents[i], formats[i], self._recipe))

        def ask(i: int, before: int, wanted: int) -> Request:
            return Request(
                prompt(i),
                n=wanted,
                max_tokens=self._recipe.challenger_tokens,
                temperature=self._recipe.temperature,
                grammar=grammars[i],
                seed=seeds("challenge", i, before),
            )

        def read(i: int, number: int, completion: Completion) -> Attempt:
            rng = random.Random(seeds("options", i, number))
            return self._attempt(documents[i], formats[i], prompt(i), completion, rng, right[i])

        free = self._recipe.template == "ladder"  # decodes without a grammar
        open_ = [i for i, grammar in enumerate(grammars) if free or grammar is not None]
        limits = (self._recipe.attempts, self._recipe.max_attempts)
        return Rounds(open_, ask, read, lambda attempt: attempt.task is not None, *limits)

    def _kept(self, rounds: Rounds[Attempt], documents: int, seeds: Seeds) -> list[list[Attempt]]:
        """Of each document's attempts that count, G at the ratio of valid to invalid ones."""
        kept = []
        for i in range(documents):
            made = rounds.counting(i)
            valid = [attempt.task is not None for attempt in made]
            rng = random.Random(seeds("keep", i))
            kept.append([made[k] for k in keep_attempts(valid, self._recipe.attempts, rng)])
        return kept

    def _answering(self, seeds: Seeds, group: int | None) -> Answering:
        recipe = self._recipe

        def ask(task: Task, n: int, about: tuple[str | int, ...]) -> Request:
            prompt = render(self._tokenizer, reasoner_messages(task, recipe))
            return Request(prompt, n, recipe.reasoner_tokens, recipe.temperature, seed=seeds(*about))

        return Answering(ask, group or recipe.group_size, recipe.option_orders, recipe.share_answers)

    def _answered_once(self, tasks: Sequence[Task], prompts: Sequence[tuple[int, ...]]) -> list[Answers]:
        """The greedy answer to each prompt, judged as an answer to its task."""
        requests = [Request(prompt, max_tokens=self._recipe.reasoner_tokens) for prompt in prompts]
        written = [group[0] for group in self._engine.generate(requests)]
        verdicts = self._verifier.check([(one.text, task) for one, task in zip(written, tasks, strict=True)])
        return [
            Answers([request.prompt], [one], [verdict], [task], request.seed)
            for request, one, verdict, task in zip(requests, written, verdicts, tasks, strict=True)
        ]

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
