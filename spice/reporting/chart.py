"""Line charts as inline SVG: no script, no network, colours from the page's style sheet.

Hand-made rather than matplotlib's, because these follow the page's light and dark colours, scale to a phone's width
and weigh a few kilobytes each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

SMALL = (420.0, 210.0)
WIDE = (680.0, 280.0)
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 8.0, 36.0
MANY_POINTS = 40  # from here on a rolling mean is drawn over the raw values


@dataclass(frozen=True)
class Point:
    """A value with, where it is known, its interval."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """A named line; `style` is a class of the style sheet: challenger, reasoner, neutral, faint or good."""

    name: str
    style: str
    points: Sequence[Point]


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    percent: bool = False,
    zero: bool = True,
    x_label: str = "iteration",
    reference: float | None = None,
    size: tuple[float, float] = SMALL,
) -> Markup:
    """Draw lines over a common axis.

    Args:
        title: what is shown; part of the text that screen readers hear.
        series: the lines; values that are not finite must have been left out.
        percent: the values are shares in [0, 1], drawn from 0% to 100% at most.
        zero: the y axis includes 0.
        x_label: what the x axis counts.
        reference: a value marked by a dashed line.
        size: width and height of the drawing; the width at which it is shown gives its text the page's size.

    Returns:
        An `<svg>` element, or an empty string if there is nothing to draw.
    """
    points = [point for line in series for point in line.points]
    if not points:
        return Markup("")
    ys = [value for point in points for value in (point.y, point.low, point.high) if value is not None]
    ys += [reference] if reference is not None else []
    y_ticks = ticks(min([0.0, *ys] if zero else ys), max(ys), 4)
    if percent:
        y_ticks = [tick for tick in y_ticks if tick <= 1.0 + 1e-9]
    x_low, x_high = min(point.x for point in points), max(point.x for point in points)
    axes = _Axes(x_low, x_high, y_ticks[0], max(y_ticks[-1], *ys), *size)
    parts = [_grid(axes, y_ticks, percent), _x_axis(axes, x_label)]
    if reference is not None:
        y = axes.y(reference)
        parts.append(Markup('<line class="reference" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(LEFT, axes.right, y, y))
    parts += [_line(axes, line, percent) for line in series if line.points]
    return Markup('<svg viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">{}</svg>').format(
        *size, _spoken(title, series, percent), Markup("").join(parts)
    )


def interval_bar(low: float, value: float, high: float, limit: float) -> Markup:
    """A difference with its interval on a scale from `-limit` to `limit`, with a mark at 0; for a table's cell."""
    left, middle, right, zero = (round(60 + 56 * max(-1.0, min(1.0, x / limit)), 1) for x in (low, value, high, 0.0))
    return Markup(
        '<svg class="interval" viewBox="0 0 120 16" aria-hidden="true">'
        '<line class="grid" x1="{0}" x2="{0}" y1="0" y2="16"/>'
        '<line class="whisker" x1="{1}" x2="{2}" y1="8" y2="8"/><circle cx="{3}" cy="8" r="3.5"/></svg>'
    ).format(zero, left, right, middle)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten apart) that span [low, high], about `about` intervals of them."""
    size = max(abs(low), abs(high), 1e-6)
    if high - low < 1e-6 * size:  # one value, or so close that their difference is noise
        low, high = (low - size / 2, high + size / 2) if size > 1e-6 else (low, high + 1.0)
    rough = (high - low) / about
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1.0, 2.0, 5.0, 10.0) if factor * magnitude >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def rolling_mean(values: Sequence[float], window: int) -> list[float]:
    """The mean of each value and up to `window - 1` values before it."""
    return [
        sum(values[max(0, index - window + 1) : index + 1]) / min(window, index + 1) for index in range(len(values))
    ]


def number(value: float, percent: bool = False) -> str:
    """A value as a reader wants it: `61%`, `0.25`, `1,200`, `3e-05`."""
    if percent:
        return f"{value:.0%}"
    if value and abs(value) < 1e-3:
        return f"{value:.0e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class _Axes:
    """Maps values to the coordinates of the drawing."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.width - RIGHT

    @property
    def bottom(self) -> float:
        return self.height - BOTTOM

    def x(self, value: float) -> float:
        span = self.x_high - self.x_low
        share = (value - self.x_low) / span if span else 0.5
        return round(LEFT + share * (self.right - LEFT), 1)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / ((self.y_high - self.y_low) or 1.0)
        return round(self.bottom - share * (self.bottom - TOP), 1)


def _grid(axes: _Axes, y_ticks: Sequence[float], percent: bool) -> Markup:
    row = Markup(
        '<line class="grid" x1="{}" x2="{}" y1="{y}" y2="{y}"/>'
        '<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>'
    )
    return Markup("").join(
        row.format(LEFT, axes.right, LEFT - 6, axes.y(tick) + 4, number(tick, percent), y=axes.y(tick))
        for tick in y_ticks
    )


def _x_axis(axes: _Axes, label: str) -> Markup:
    whole = sorted({round(tick) for tick in ticks(axes.x_low, axes.x_high, 6)})
    marks = Markup("").join(
        Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            axes.x(tick), axes.bottom + 15, tick
        )
        for tick in whole
        if axes.x_low <= tick <= axes.x_high
    )
    middle = (LEFT + axes.right) / 2
    return marks + Markup('<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>').format(
        middle, axes.height - 4, label
    )


def _line(axes: _Axes, line: Series, percent: bool) -> Markup:
    points = sorted(line.points, key=lambda point: point.x)
    many = len(points) >= MANY_POINTS
    parts = []
    if all(point.low is not None and point.high is not None for point in points):
        above = [(axes.x(point.x), axes.y(point.high or 0.0)) for point in points]
        below = [(axes.x(point.x), axes.y(point.low or 0.0)) for point in reversed(points)]
        parts.append(Markup('<polygon class="band" points="{}"/>').format(_path(above + below)))
    raw = _path([(axes.x(point.x), axes.y(point.y)) for point in points])
    parts.append(Markup('<polyline class="{}" points="{}"/>').format("raw" if many else "line", raw))
    if many:
        means = rolling_mean([point.y for point in points], max(2, len(points) // 20))
        smooth = _path([(axes.x(point.x), axes.y(mean)) for point, mean in zip(points, means, strict=True)])
        parts.append(Markup('<polyline class="line" points="{}"/>').format(smooth))
    else:
        dot = Markup('<circle cx="{}" cy="{}" r="2.4"><title>{}</title></circle>')
        parts += [dot.format(axes.x(point.x), axes.y(point.y), _label(line, point, percent)) for point in points]
    return Markup('<g class="{}">{}</g>').format(line.style, Markup("").join(parts))


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def _label(line: Series, point: Point, percent: bool) -> str:
    interval = ""
    if point.low is not None and point.high is not None:
        interval = f" ({number(point.low, percent)} to {number(point.high, percent)})"
    return f"{line.name}, {point.x:g}: {number(point.y, percent)}{interval}"


def _spoken(title: str, series: Sequence[Series], percent: bool) -> str:
    told = [
        f"{line.name} from {number(line.points[0].y, percent)} to {number(line.points[-1].y, percent)}"
        for line in series
        if line.points
    ]
    return f"{title}: {'; '.join(told)}."
