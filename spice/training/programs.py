"""Tasks made from programs, with a code executor as their environment (the recipe `absolute_zero`)."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from spice.config import RecipeConfig
from spice.errors import TrainingError
from spice.rollout.base import Completion, Grammar
from spice.selfplay import proposals
from spice.selfplay.executor import Executor
from spice.selfplay.ladder_programs import parse_ladder
from spice.selfplay.programs import KINDS, ProgramArchive, observe, program_task
from spice.selfplay.prompts import Message, challenger_messages
from spice.selfplay.types import NO_DOCUMENT, Document, Program, ProgramKind
from spice.store.base import ObjectStore
from spice.training.outputs import Attempt
from spice.training.play import Players, Seeds
from spice.training.records import tasks_key

_PROGRAM = TypeAdapter(Program)


class ProgramPoser:
    """Lets the Challenger propose programs, runs them, and remembers those that work.

    A third of an iteration's places is for each kind of task.
    """

    def __init__(self, recipe: RecipeConfig, executor: Executor) -> None:
        """Begin with an archive that holds the identity function only."""
        self._recipe = recipe
        self._ladder = recipe.template == "ladder"
        self._template: proposals.Template = "full" if recipe.template == "full" else "short"
        self._executor = executor
        self._archive = ProgramArchive()

    def __call__(self, players: Players, _iteration: int, seeds: Seeds) -> list[list[Attempt]]:
        """Pose an iteration's tasks; attempts by place."""
        possible = KINDS[:1] if self._ladder else KINDS
        kinds = [possible[place % len(possible)] for place in range(self._recipe.batch_documents)]
        references = [self._references(kind, random.Random(seeds("references", i))) for i, kind in enumerate(kinds)]
        asked = [self._messages(kind, known) for kind, known in zip(kinds, references, strict=True)]
        grammars = [self._grammar(kind) for kind in kinds]
        attempts = [
            [self._attempt(kind, known[0], prompt, completion) for completion in completions]
            for kind, known, (prompt, completions) in zip(
                kinds, references, players.propose(asked, grammars, seeds), strict=True
            )
        ]
        self._remember([one.task.program for group in attempts for one in group if one.task and one.task.program])
        return attempts

    def recall(self, store: ObjectStore, run: str, iterations: int) -> None:
        """Take up the memory of the first `iterations`, after a resume.

        Raises:
            TrainingError: their records are not as they were written.
        """
        for n in range(1, iterations + 1):
            key = tasks_key(run, n)
            try:
                table = pq.read_table(io.BytesIO(store.get(key)), columns=["program"], use_threads=False)
                rows = [json.loads(row["program"]) for row in table.to_pylist() if row["program"]]
                self._remember([_PROGRAM.validate_python(row) for row in rows])
            except (pa.ArrowException, OSError, ValueError, ValidationError) as error:
                raise TrainingError(
                    f"{key} in {store.url} is damaged, so the run cannot go on. Restore it from a backup, "
                    "or start a new run."
                ) from error

    def _references(self, kind: ProgramKind, rng: random.Random) -> list[Program]:
        return self._archive.draw(1 if kind == "induction" else self._recipe.references, rng)

    def _messages(self, kind: ProgramKind, references: Sequence[Program]) -> list[Message]:
        if self._ladder:
            return challenger_messages(NO_DOCUMENT, "free_form", self._recipe)
        return proposals.proposal_messages(kind, references, self._template, self._recipe.program_inputs)

    def _grammar(self, kind: ProgramKind) -> Grammar | None:
        if self._ladder:
            return None
        form, text = proposals.proposal_grammar(kind, self._template, self._recipe.program_inputs)
        return Grammar(form, text if isinstance(text, str) else json.dumps(text))

    def _attempt(self, kind: ProgramKind, given: Program, prompt: tuple[int, ...], completion: Completion) -> Attempt:
        about = Document(kind, "", "")
        if self._ladder:
            read = parse_ladder(completion.text)
            question, found = read if isinstance(read, tuple) else ("", read)
        else:
            question, found = "", proposals.parse_proposal(completion.text, kind, self._template, given)
        if isinstance(found, str):
            reason = "cut off at the length limit" if completion.finish == "length" else found
            return Attempt(about, prompt, completion, None, reason, {}, kind)
        program = observe(kind, found.code, found.inputs, self._executor, found.message)
        if isinstance(program, str):
            return Attempt(about, prompt, completion, None, program, {"well_formed": False}, kind)
        task = program_task(program)
        task = replace(task, question=question) if question else task
        return Attempt(about, prompt, completion, task, "", {"well_formed": True}, kind)

    def _remember(self, programs: Sequence[Program]) -> None:
        """Induction tasks are about programs that are known already."""
        self._archive.add([program for program in programs if program.kind != "induction"])
