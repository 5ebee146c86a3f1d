"""A comparison as Markdown: what a reader needs to judge it, and no more."""

from __future__ import annotations

from collections.abc import Sequence

from spice.arena.compare import Comparison, Figure, Pair, Row
from spice.reporting.records import Rate

MOVES = (
    "recipe",
    "seed",
    "Reasoner on first tasks, gold",
    "oracle",
    "first Reasoner on last tasks, gold",
    "oracle",
)


def markdown(found: Comparison) -> str:
    """The tables of a comparison and the terms on which it was made."""
    rows = [_row(row) for row in found.rows]
    pairs = [_pair(pair) for pair in found.pairs]
    return "\n\n".join(
        [
            f"# Arena: world {found.world}",
            terms(found),
            "## Held-out accuracy",
            _table(
                [
                    "recipe",
                    "start",
                    "end",
                    "gain",
                    "equal tokens",
                    "equal seconds",
                    "seeds",
                    "true labels",
                    "collapsed",
                ],
                rows,
            ),
            "## Co-evolution",
            _coevolution(found.rows),
            "## Alarms",
            "Share of the iterations, over all seeds, in which an alarm was raised.",
            _table(["recipe", "alarms"], [[row.recipe, alarm_words(row)] for row in found.rows]),
            "## Cost",
            _table(
                ["recipe", "learning rate", "updates", "tokens generated", "seconds"],
                [_cost(row) for row in found.rows],
            ),
            *_tuning(found),
            "## Differences at the end",
            _table(["pair", "difference", "p", "p, Holm", "equal tokens", "equal seconds"], pairs)
            if pairs
            else "One recipe alone differs from nothing.",
        ]
    )


def terms(found: Comparison) -> str:
    """On what terms the recipes were compared, in sentences."""
    count = len(found.seeds)
    named = ", ".join(map(str, found.seeds))
    unseen = " One seed says nothing of other seeds: the intervals are over items alone." if count == 1 else ""
    return (
        f"{found.items} held-out items, graded by the oracle; {'seed' if count == 1 else 'seeds'} {named}, "
        f"{len(found.warm_starts)} warm {'start' if len(found.warm_starts) == 1 else 'starts'}. Every arm took "
        f"{found.updates} updates. Equal tokens: {found.token_budget:,.0f} generated; equal seconds: "
        f"{found.second_budget:,.0f} of self-play (the fewest that any arm took; accuracy at the last checkpoint "
        f"within them). Intervals: {found.method}.{unseen}"
    )


def figure(value: Figure, signed: bool = False) -> str:
    """A mean with its interval, `0.71 [0.66, 0.75]`."""
    sign = "+" if signed else ""
    return f"{value.value:{sign}.3f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


def p_value(p: float) -> str:
    """A p-value to three digits."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def tuning_words(found: Comparison) -> list[list[str]]:
    """What the search for learning rates found, one line a recipe."""
    return [[recipe, *(f"{accuracy:.3f}" for accuracy in by_rate.values())] for recipe, by_rate in found.tuning.items()]


def collapse_words(row: Row) -> str:
    """Which seeds fell below their start for good, and when; "no" if none did."""
    return ", ".join(f"seed {seed} from {iteration}" for seed, iteration in row.collapsed.items()) or "no"


def alarm_words(row: Row) -> str:
    """Which alarms were raised, and how often; "none" if none was."""
    return ", ".join(f"{alarm} {share:.0%}" for alarm, share in row.alarms.items()) or "none"


def label_words(row: Row) -> str:
    """The share of true gold answers, from the first tenth of the iterations to the last."""
    if row.labels_first is None or row.labels_last is None:
        return "not graded"
    return f"{row.labels_first:.2f} to {row.labels_last:.2f}"


def moves(row: Row) -> list[list[str]]:
    """How both curves moved, one line a seed: last Reasoner, then last Challenger, each by gold and by oracle."""
    return [
        [row.recipe, seed, *(_rate(rate) for change in changes[::-1] for rate in (change.passed, change.true))]
        for seed, changes in row.coevolution.items()
    ]


def _coevolution(rows: Sequence[Row]) -> str:
    lines = [line for row in rows for line in moves(row)]
    note = (
        "Change of the share of right answers from the first checkpoint to the last, with intervals over documents. A "
        "Reasoner that learns rises on the first Challenger's tasks; on tasks that get harder the first Reasoner falls."
    )
    return f"{note}\n\n{_table(MOVES, lines)}" if lines else "No Challenger learned."


def _tuning(found: Comparison) -> list[str]:
    if not found.tuning:
        return []
    rates = next(iter(found.tuning.values()))
    return [
        "## Learning rates",
        "Accuracy on the tuning questions with each rate, on a seed of its own. The best was taken.",
        _table(["recipe", *rates], tuning_words(found)),
    ]


def _rate(rate: Rate | None) -> str:
    return figure(Figure(value=rate.value, low=rate.low, high=rate.high), signed=True) if rate else "no tasks"


def _row(row: Row) -> list[str]:
    return [
        row.recipe,
        f"{row.start.value:.3f}",
        figure(row.end),
        figure(row.gain, signed=True),
        f"{row.at_equal_tokens.value:.3f}",
        f"{row.at_equal_seconds.value:.3f}",
        " ".join(f"{share:.3f}" for share in row.by_seed),
        label_words(row),
        collapse_words(row),
    ]


def _cost(row: Row) -> list[str]:
    return [row.recipe, f"{row.learning_rate:g}", str(row.updates), f"{row.tokens:,.0f}", f"{row.seconds:,.0f}"]


def _pair(pair: Pair) -> list[str]:
    return [
        f"{pair.ours} - {pair.theirs}",
        figure(Figure(value=pair.value, low=pair.low, high=pair.high), signed=True),
        p_value(pair.p),
        p_value(pair.p_holm),
        figure(pair.at_equal_tokens, signed=True),
        figure(pair.at_equal_seconds, signed=True),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
