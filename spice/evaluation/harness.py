"""Adapter to EleutherAI's lm-evaluation-harness: its tasks, on our engine.

For whatever else somebody wants measured. Its tasks bring their own prompts and
metrics, and many load their data from the hub; what they find is told beside
the suites and is no part of the gate's facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from spice.errors import ConfigError
from spice.rollout.base import Engine, Request

Score = Callable[[Sequence[tuple[Sequence[int], Sequence[int]]]], list[tuple[float, bool]]]
"""Of (context, continuation) pairs of token ids: log-probability in nats, and whether greedy decoding would give it."""
_MAX_GEN_TOKENS = 256
_BATCH = 64


class Tokenizer(Protocol):
    """What the harness needs of a tokenizer."""

    @property
    def eos_token_id(self) -> int:
        """Stands for an empty context."""
        ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Turn text into token ids."""
        ...

    def apply_chat_template(
        self, conversation: Sequence[dict[str, str]], *, add_generation_prompt: bool, tokenize: bool
    ) -> str:
        """Join messages into one text."""
        ...


def evaluate(lm: Any, tasks: Sequence[str], include: Path | None = None, limit: int | None = None) -> dict[str, Any]:
    """Run tasks of the harness.

    Args:
        lm: from `as_lm`.
        tasks: names of tasks or groups of the harness; with `include`, of those there alone.
        include: a folder with task files of one's own. The harness's 13,000 are not read then, which takes it a minute.
        limit: items per task.

    Returns:
        Metrics by task, standard errors among them.

    Raises:
        ConfigError: the harness is not installed, or a task is unknown or cannot be loaded.
    """
    try:
        from lm_eval import evaluator
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise _not_installed() from error
    manager = TaskManager(include_path=str(include) if include else None, include_defaults=include is None)
    unknown = [name for name in tasks if not manager.match_tasks([name])]
    if unknown:
        where = include or "lm-evaluation-harness (`lm_eval ls tasks` lists its own)"
        raise ConfigError(f"There is no task {', '.join(unknown)} in {where}.")
    try:
        found = evaluator.simple_evaluate(
            lm, tasks=list(tasks), task_manager=manager, limit=limit, bootstrap_iters=1000, log_samples=False
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"lm-evaluation-harness cannot run {', '.join(tasks)}: {type(error).__name__}: {error}. Most of its tasks "
            "load their data from the hub."
        ) from error
    results: Mapping[str, Any] = found["results"]
    return {task: dict(metrics) for task, metrics in results.items()}


def as_lm(engine: Engine, tokenizer: Tokenizer, score: Score, max_length: int) -> Any:
    """The harness's view of a model: `engine` generates, `score` gives log-likelihoods.

    Args:
        engine: greedy unless a task asks for a temperature.
        tokenizer: the model's.
        score: see `spice.models.scoring.log_likelihoods`.
        max_length: tokens that the model can see.

    Raises:
        ConfigError: the harness is not installed.
    """
    try:
        from lm_eval.api.model import TemplateLM
        from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
    except ImportError as error:
        raise _not_installed() from error

    class SpiceLM(TemplateLM):  # type: ignore[misc]  # the harness has no types
        """One model under one engine."""

        @property
        def eot_token_id(self) -> int:
            return tokenizer.eos_token_id

        @property
        def tokenizer_name(self) -> str:
            return "spice"

        def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
            return tokenizer.encode(string, add_special_tokens=bool(add_special_tokens))

        def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
            return tokenizer.apply_chat_template(
                chat_history, add_generation_prompt=add_generation_prompt, tokenize=False
            )

        def _loglikelihood_tokens(self, requests: list[Any], **_: Any) -> list[tuple[float, bool]]:
            return score([(context, continuation) for _, context, continuation in requests])

        def loglikelihood_rolling(self, requests: list[Any], **_: Any) -> list[float]:
            return [self._whole(request.args[0]) for request in requests]

        def _whole(self, text: str) -> float:
            windows = get_rolling_token_windows(
                self.tok_encode(text), self.prefix_token_id, max_seq_len=max_length, context_len=1
            )
            return sum(total for total, _ in score([make_disjoint_window(window) for window in windows]))

        def generate_until(self, requests: list[Any], **_: Any) -> list[str]:
            found = []
            for start in range(0, len(requests), _BATCH):
                batch = [request.args for request in requests[start : start + _BATCH]]
                asked = [_request(self.tok_encode(context), options, max_length) for context, options in batch]
                for (completion,), (_, options) in zip(engine.generate(asked), batch, strict=True):
                    found.append(_until(completion.text, options))
            return found

    return SpiceLM()


def _request(prompt: list[int], options: Mapping[str, Any], max_length: int) -> Request:
    room = int(options.get("max_gen_toks", _MAX_GEN_TOKENS))
    temperature = float(options.get("temperature") or 0.0) if options.get("do_sample") else 0.0
    # A prompt that is too long loses its beginning, as with the harness's own models.
    return Request(tuple(prompt[-max(1, max_length - room) :]), max_tokens=room, temperature=temperature)


def _until(text: str, options: Mapping[str, Any]) -> str:
    """Text up to the first of the stop strings, which do not belong to it."""
    stops = options.get("until") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        if stop:
            text = text.partition(stop)[0]
    return text


def _not_installed() -> ConfigError:
    return ConfigError("lm-evaluation-harness is not installed: pip install 'spice-platform[harness]'")
