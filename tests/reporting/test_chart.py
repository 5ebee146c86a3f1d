from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from spice.reporting.chart import MANY_POINTS, Point, Series, interval_bar, line_chart, number, rolling_mean, ticks

SIZE = (420.0, 210.0)
numbers = st.floats(-1e6, 1e6, allow_nan=False)


def drawn(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def points(*values: float) -> list[Point]:
    return [Point(index + 1, value) for index, value in enumerate(values)]


@given(numbers, numbers, st.integers(2, 8))
def test_ticks_span_the_values_evenly(a: float, b: float, about: int) -> None:
    low, high = min(a, b), max(a, b)
    found = ticks(low, high, about)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert found[0] <= low + slack
    assert found[-1] >= high - slack
    assert 2 <= len(found) <= 3 * about + 3
    steps = [after - before for before, after in itertools.pairwise(found)]
    assert all(math.isclose(step, steps[0], rel_tol=1e-3) for step in steps)


@given(st.lists(numbers, min_size=1, max_size=60), st.booleans())
def test_every_mark_lies_inside_the_drawing(values: list[float], zero: bool) -> None:
    svg = drawn(line_chart("title", [Series("a", "neutral", points(*values))], zero=zero))
    for element in svg.iter():
        for x, y in (pair.split(",") for pair in element.get("points", "").split()):
            assert 0 <= float(x) <= SIZE[0]
            assert 0 <= float(y) <= SIZE[1]


def test_a_flat_line_has_an_axis_to_stand_on() -> None:
    assert (ticks(0.0, 0.0, 4)[0], ticks(0.0, 0.0, 4)[-1]) == (0.0, 1.0)
    assert ticks(36.0, 36.0, 4)[0] < 36 < ticks(36.0, 36.0, 4)[-1]


def test_higher_values_are_drawn_higher_and_later_ones_further_right() -> None:
    svg = drawn(line_chart("title", [Series("a", "neutral", points(0.1, 0.9))]))
    first, last = (tuple(map(float, pair.split(","))) for pair in svg.find(".//polyline").get("points").split())
    assert first[0] < last[0]
    assert first[1] > last[1]


def test_an_interval_is_a_band_and_is_told() -> None:
    series = Series("later Reasoners", "reasoner", [Point(0, 0.5, 0.4, 0.6), Point(6, 0.7, 0.6, 0.8)])
    svg = drawn(line_chart("title", [series], percent=True))
    assert len(svg.find(".//polygon").get("points").split()) == 4
    assert [title.text for title in svg.iter("title")][1] == "later Reasoners, 6: 70% (60% to 80%)"


def test_shares_never_have_an_axis_beyond_all() -> None:
    svg = drawn(line_chart("title", [Series("a", "neutral", points(0.4, 1.0))], percent=True))
    assert [text.text for text in svg.iter("text") if text.text.endswith("%")][-1] == "100%"


def test_what_is_shown_is_also_said() -> None:
    svg = drawn(line_chart("Reward", [Series("Reasoner", "reasoner", points(0.18, 0.28))]))
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == "Reward: Reasoner from 0.18 to 0.28."


def test_many_points_are_smoothed_over_the_raw_line() -> None:
    few = line_chart("t", [Series("a", "neutral", points(*range(MANY_POINTS - 1)))])
    many = line_chart("t", [Series("a", "neutral", points(*range(MANY_POINTS)))])
    assert 'class="raw"' not in few
    assert 'class="raw"' in many
    assert "<circle" not in many


def test_names_are_escaped() -> None:
    svg = drawn(line_chart('<b>"', [Series("<i>&", "neutral", points(1.0, 2.0))]))
    assert svg.get("aria-label", "").startswith('<b>"')
    assert next(svg.iter("title")).text == "<i>&, 1: 1"


def test_nothing_to_draw_is_nothing() -> None:
    assert line_chart("title", [Series("a", "neutral", [])]) == ""


def test_rolling_mean_looks_back_only() -> None:
    assert rolling_mean([2.0, 4.0, 6.0, 0.0], 2) == [2.0, 3.0, 5.0, 3.0]


def test_numbers_read_well() -> None:
    assert [number(value) for value in (0.25, 1200.0, 3e-5, 0.0, -0.1)] == ["0.25", "1,200", "3e-05", "0", "-0.1"]
    assert number(0.614, percent=True) == "61%"


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2))
def test_an_interval_bar_stays_in_its_cell(low: float, value: float, high: float) -> None:
    svg = drawn(interval_bar(low, value, high, 0.5))
    found = [float(element.get(name, "60")) for element in svg.iter() for name in ("x1", "x2", "cx")]
    assert all(0 <= x <= 120 for x in found)
