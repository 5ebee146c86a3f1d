from dataclasses import replace

import pytest

from spice.config import HealthConfig
from spice.selfplay.alarms import alarms, warnings
from spice.selfplay.archive import QuestionArchive
from spice.selfplay.health import Answer, Attempt, assess
from spice.selfplay.types import Task

DOCUMENT = "Riga is the capital of Latvia. Tallinn is the capital of Estonia."
OPTIONS = ("Oslo", "Riga", "Berlin", "Minsk")


def answer(correct, extracted="Riga", tokens=10, truncated=False, entropy=1.0, place=None):
    return Answer(correct, extracted, tokens, truncated, entropy, place)


def posed(question="Which city governs the Latvians?", gold="Riga", correct=(True, False), options=(), **fields):
    task = Task("multiple_choice" if options else "free_form", question, gold, options=options)
    answers = tuple(answer(flag) for flag in correct)
    fields = {"unleaked": True, "tokens": 20, "truncated": False, "entropy": 2.0, "answers": answers} | fields
    return Attempt(DOCUMENT, task, **fields)


INVALID = Attempt(DOCUMENT, None, unleaked=True, tokens=60, truncated=True, entropy=4.0)


def test_signals_of_a_small_iteration_by_hand():
    attempts = [
        posed(correct=(True, True)),
        posed(question="Riga is the capital of what?", gold="Latvia", correct=(False, False), unleaked=False),
        posed(question="Who rules?", correct=(True, False)),
        INVALID,
    ]

    signals = assess(attempts, QuestionArchive())

    expected = {
        "tasks": 3,
        "valid_rate": 3 / 4,
        "challenger_entropy": (2 + 2 + 2 + 4) / 4,
        "challenger_tokens": (20 + 20 + 20 + 60) / 4,
        "challenger_truncated_share": 1 / 4,
        "reasoner_entropy": 1,
        "reasoner_tokens": 10,
        "reasoner_truncated_share": 0,
        "unanswered_share": 0,
        "all_wrong_share": 1 / 3,
        "all_right_share": 1 / 3,
        "zero_variance_share": 2 / 3,
        "distinct_2": 1.0,
        "near_duplicate_share": 0,
        "dominant_answer_share": 2 / 3,
        "dominant_question_share": 1 / 3,
        "copied_run_mean": (1 + 5 + 0) / 3,  # "the" | "Riga is the capital of" | nothing
        "copied_run_max": 5,
        "extractive_coverage": (1 / 5 + 5 / 6 + 0) / 3,
        "extractive_density": (1 / 5 + 25 / 6 + 0) / 3,
        "copied_coverage": (0 + 5 / 6 + 0) / 3,  # single common words are not copied
        "leak_share": 1 / 3,
    }
    assert {name: signals[name] for name in expected} == pytest.approx(expected)
    assert set(signals) == {*expected, "compression_ratio", "compressed_bytes", "self_bleu"}


def test_nothing_is_said_of_what_is_not_there():
    assert assess([], QuestionArchive()) == {"tasks": 0}
    assert set(assess([INVALID], QuestionArchive())) == {
        "tasks",
        "valid_rate",
        "challenger_entropy",
        "challenger_tokens",
        "challenger_truncated_share",
    }


def test_one_kind_of_question_is_seen_whatever_it_is_asked_of():
    attempts = [posed(f"What is the capital of {name}?", gold=name) for name in ("Latvia", "New York", "the Czechs")]

    assert assess(attempts, QuestionArchive())["dominant_question_share"] == pytest.approx(2 / 3)


def test_repetition_is_against_earlier_iterations():
    archive = QuestionArchive()
    attempts = [posed("Who wrote The Glass Orchard?"), posed("Who wrote The Glass Orchard?")]

    assert assess(attempts, archive)["near_duplicate_share"] == 0.0
    assert assess([*attempts, posed("When was the bridge opened?")], archive)["near_duplicate_share"] == 2 / 3


def with_letters(gold, given):
    """One multiple-choice task per letter pair."""
    return [
        posed(
            gold=OPTIONS["ABCD".index(g)],
            options=OPTIONS,
            answers=(answer(False, place="ABCD".index(a)), answer(False, place=3)),
        )
        for g, a in zip(gold, given, strict=True)
    ]


def test_letters_used_evenly_and_unevenly():
    even, uneven = "ABCD" * 10, "B" * 37 + "ACD"

    signals = assess(with_letters(even, uneven), QuestionArchive())

    assert signals["gold_letter_p"] == 1.0
    assert signals["gold_letter_top_share"] == 0.25
    assert signals["answered_letter_p"] < 1e-9
    assert signals["answered_letter_top_share"] == 37 / 40
    assert [signals[f"answered_letter_{letter}"] for letter in "abcd"] == [1, 37, 1, 1]


def test_likeness_is_that_of_questions_about_different_documents():
    def about(document, question):
        return replace(posed(question), document=document)

    of_one = ["Who built the long iron bridge here?", "Who built the long iron bridge there?"]
    alike = [about("a", question) for question in of_one] * 8
    others = [about(f"{n}", f"{n * 7919} {n * 104729} {n * 1299709} {n * 31} {n * 57}") for n in range(16)]

    assert assess([*alike, *others], QuestionArchive())["self_bleu"] < 0.1
    assert assess(alike, QuestionArchive())["self_bleu"] > 0.5


def test_too_few_letters_are_not_tested():
    assert "gold_letter_p" not in assess(with_letters("B" * 19, "B" * 19), QuestionArchive())
    assert "gold_letter_p" in assess(with_letters("B" * 20, "B" * 20), QuestionArchive())


HEALTHY = {
    "tasks": 64.0,
    "valid_rate": 0.8,
    "challenger_entropy": 1.0,
    "challenger_tokens": 60.0,
    "challenger_truncated_share": 0.0,
    "reasoner_entropy": 1.0,
    "reasoner_tokens": 20.0,
    "reasoner_truncated_share": 0.0,
    "unanswered_share": 0.1,
    "zero_variance_share": 0.5,
    "leak_share": 0.0,
    "near_duplicate_share": 0.1,
    "dominant_answer_share": 0.1,
    "dominant_question_share": 0.2,
    "copied_run_mean": 4.0,
    **{f"gold_letter_{letter}": count for letter, count in zip("abcd", (18.0, 14.0, 17.0, 15.0))},
    **{f"answered_letter_{letter}": count for letter, count in zip("abcd", (13.0, 16.0, 22.0, 13.0))},
    "compressed_bytes": 30.0,
}


def test_a_healthy_iteration_raises_no_alarm():
    assert warnings(HEALTHY, [HEALTHY] * 5) == []
    assert warnings({}, []) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"valid_rate": 0.1}, "valid rate 0.10"),
        ({"valid_rate": 0.5, "challenger_entropy": 1.5}, "unlearns"),
        ({"challenger_entropy": 0.05}, "entropy of the challenger's outputs"),
        ({"reasoner_entropy": 0.05}, "entropy of the reasoner's outputs"),
        ({"challenger_truncated_share": 0.2}, "challenger's outputs are cut off"),
        ({"reasoner_truncated_share": 0.2}, "reasoner's outputs are cut off"),
        ({"unanswered_share": 0.6}, "no box"),
        ({"zero_variance_share": 0.9}, "always or never"),
        ({"leak_share": 0.3}, "contain their answer"),
        ({"near_duplicate_share": 0.6}, "repeat earlier ones"),
        ({"dominant_answer_share": 0.51}, "the same answer"),
        ({"dominant_question_share": 0.51}, "of one kind"),
        ({"copied_run_mean": 13.0}, "copy 13.0 words"),
        ({"gold_letter_a": 400.0}, "gold letters are A"),
        ({"answered_letter_c": 400.0}, "answered letters are C"),
        ({"reasoner_tokens": 100.0}, "reasoner's outputs are 5.00 times"),
        ({"challenger_tokens": 12.0}, "challenger's outputs are 0.20 times"),
        ({"compressed_bytes": 12.0}, "compresses to 40%"),
        ({"self_bleu": 0.9}, "likeness"),
        ({"copied_coverage": 0.95}, "copied in runs"),
        ({"dominant_kind_share": 0.6}, "of one kind"),
        ({"importance_ess": 0.5}, "effective sample size"),
        ({"logprob_gap_mean": 0.2}, "nats a token"),
        ({"challenger_update_share": 0.01}, "the reasoner has 99%"),
        ({"oracle_n": 20.0, "oracle_right": 14.0}, "oracle finds 70%"),
        ({"audit_n": 20.0, "audit_right": 9.0}, "audit confirms 45%"),
        ({"choices_only_n": 20.0, "choices_only_right": 15.0}, "without the question"),
    ],
)
def test_each_failure_raises_its_own_alarm(change, word):
    [warning] = warnings(HEALTHY | change, [HEALTHY] * 5)

    assert word in warning


def test_alarms_against_the_start_wait_until_the_start_is_over():
    collapsed = HEALTHY | {"reasoner_entropy": 0.01}

    assert warnings(collapsed, [HEALTHY] * 4) == []
    assert warnings(collapsed, [HEALTHY] * 5) != []


def test_the_start_is_the_baseline_however_slow_the_change():
    slow = [HEALTHY | {"reasoner_entropy": 1.0 / (1 + i)} for i in range(40)]

    assert any("entropy" in warning for warning in warnings(slow[-1], slow[:-1]))


def test_a_falling_valid_rate_alone_is_no_death_spiral():
    assert warnings(HEALTHY | {"valid_rate": 0.5, "challenger_entropy": 0.9}, [HEALTHY] * 5) == []


def test_shares_of_a_handful_of_tasks_raise_no_alarm():
    handful = HEALTHY | {"tasks": 3.0, "dominant_answer_share": 0.67}

    assert warnings(handful, []) == []
    assert warnings(handful, [], HealthConfig(min_tasks=3)) != []


def test_few_audits_are_added_up_over_iterations():
    weak = HEALTHY | {"audit_n": 4.0, "audit_right": 1.0}

    assert warnings(weak, [weak] * 3) == []
    assert any("audit confirms 25% of the gold answers" in warning for warning in warnings(weak, [weak] * 9))


def test_an_oracle_needs_few_iterations_to_see_labels_turn_false():
    true, false = ({"oracle_n": 24.0, "oracle_right": right} for right in (24.0, 15.0))

    assert warnings(false, [true] * 20) == []
    assert any("oracle finds 62%" in warning for warning in warnings(false, [*[true] * 20, false]))


def test_a_falling_audit_is_noticed_above_its_limit():
    good, worse = ({"audit_n": 10.0, "audit_right": right} for right in (9.0, 6.0))
    lenient = HealthConfig(audit_agree=0.5)

    assert warnings(good, [good] * 30) == []
    assert any("at the start 90%" in warning for warning in warnings(worse, [good] * 20 + [worse] * 9, lenient))


def test_few_tasks_are_judged_together_with_those_before():
    """Shares of a dozen tasks go up and down by chance."""
    dozen = {"tasks": 12.0, "zero_variance_share": 0.5}
    unlucky = dozen | {"zero_variance_share": 0.9}

    assert warnings(unlucky, [dozen] * 5) == []
    assert any("always or never" in warning for warning in warnings(unlucky, [dozen, *[unlucky] * 4]))


def test_one_place_is_noticed_where_iterations_are_small():
    """Twelve tasks an iteration are too few to test; those of three are enough."""
    third = {"tasks": 12.0, "answered_letter_a": 1.0, "answered_letter_b": 1.0, "answered_letter_c": 9.0}
    third["answered_letter_d"] = 1.0

    assert warnings(third, []) == []
    assert any("answered letters are C" in warning for warning in warnings(third, [third] * 2))


def test_a_slight_habit_is_no_alarm_however_certain():
    slight = {f"answered_letter_{letter}": count for letter, count in zip("abcd", (300.0, 240.0, 240.0, 244.0))}

    assert warnings(HEALTHY | slight, [HEALTHY | slight] * 9) == []


def test_an_output_that_grows_by_certain_symbols_has_lost_no_entropy():
    grown = HEALTHY | {"reasoner_entropy": 0.05, "reasoner_tokens": 55.0}

    assert warnings(grown, [HEALTHY] * 5) == []


def test_longer_questions_compress_better_and_are_no_alarm():
    assert warnings(HEALTHY | {"compression_ratio": 9.0}, [HEALTHY | {"compression_ratio": 2.0}] * 5) == []


def test_a_threshold_is_a_setting():
    assert warnings(HEALTHY, [], HealthConfig(valid_rate=0.9)) != []


def test_every_alarm_has_an_action():
    from spice.config import HealthActions

    broken = {
        "tasks": 64.0, "valid_rate": 0.1, "reasoner_truncated_share": 1.0, "unanswered_share": 1.0,
        "zero_variance_share": 1.0, "leak_share": 1.0, "near_duplicate_share": 1.0, "dominant_kind_share": 1.0,
        "copied_run_mean": 99.0, "gold_letter_a": 64.0, "gold_letter_b": 0.0, "importance_ess": 0.0,
        "challenger_update_share": 1.0,
        "oracle_n": 20.0, "choices_only_n": 20.0, "choices_only_right": 20.0, "challenger_entropy": 9.0,
    }  # fmt: skip
    raised = {alarm.name for alarm in alarms(broken, [{"valid_rate": 0.9, "challenger_entropy": 1.0}] * 5)}
    sure, open_ = ({"reasoner_entropy": entropy, "reasoner_tokens": 9.0} for entropy in (0.01, 1.0))
    raised |= {alarm.name for alarm in alarms(sure, [open_] * 5)}

    assert raised == set(HealthActions.model_fields)
