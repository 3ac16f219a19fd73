"""Pages that need nothing but a browser: tables and plots in one file, without scripts and without the network.

Everything that comes from a model or a file is escaped. Plots are inline SVG; their colours follow the light or dark
setting of the reader.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 720, 300  # of a plot, in its own units
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 12, 44  # margins of the plotting area
BAR_PITCH, BAR_LEFT, BAR_RIGHT = 24, 190, 130  # of bars below each other, and what stands before and behind them
MAX_TICKS = 6

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --ink: #1f2328; --back: #fff; --c0: #0969da; --c1: #cf222e;
  --c2: #1a7f37; --c3: #8250df; --c4: #bf8700; --c5: #1b7c83; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --back: #0d1117; --c0: #58a6ff; --c1: #ff7b72;
  --c2: #3fb950; --c3: #bc8cff; --c4: #d29922; --c5: #39c5cf; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); max-width: 62em;
  margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; margin: .6em 0; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid var(--line); padding: .2em .7em; text-align: right; }
th:first-child, td:first-child { text-align: left; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.axis { stroke: var(--line); fill: none; } .key { display: inline-block; margin-right: 1.2em; }
"""


class Series(NamedTuple):
    """Points (x, y) of one colour in a plot."""

    name: str
    points: Sequence[tuple[float, float]]


def page(title: str, parts: Sequence[str]) -> str:
    """A whole page of parts that the other functions made."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><link rel="icon" href="data:,"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def heading(text: str) -> str:
    """The title of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str) -> str:
    """Some text.

    Examples
    --------
    >>> paragraph("a < b")
    '<p>a &lt; b</p>'
    """
    return f"<p>{escape(text)}</p>"


def table(rows: Sequence[Sequence[object]], shades: Sequence[Sequence[float]] | None = None) -> str:
    """A table whose first row is its heading; `shades` (0 to 1) colour the other cells but the first of each row."""
    lines = ["<tr>" + "".join(f"<th>{escape(str(cell))}</th>" for cell in rows[0]) + "</tr>"]
    for place, row in enumerate(rows[1:]):
        cells = []
        for k, cell in enumerate(row):
            shade = shades[place][k - 1] if shades is not None and k else 0.0
            style = f' style="background:color-mix(in srgb, var(--c0) {shade * 70:.0f}%, transparent)"' if shade else ""
            cells.append(f"<td{style}>{escape(str(cell))}</td>")
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return "<table>" + "".join(lines) + "</table>"


def line_plot(
    series: Sequence[Series],
    x_title: str,
    y_title: str,
    *,
    dots: bool = False,
    log_y: bool = False,
    x_marks: Sequence[tuple[float, str]] = (),
) -> str:
    """Lines through points, or the points alone. Points that are not finite are left out.

    With `log_y` the y axis is logarithmic, and points that are not above 0 are left out. `x_marks` are places on the x
    axis and what stands there, instead of round numbers.
    """
    if log_y:
        series = [Series(one.name, [(x, math.log10(y)) for x, y in one.points if y > 0]) for one in series]
    kept = [Series(one.name, [p for p in one.points if math.isfinite(p[0]) and math.isfinite(p[1])]) for one in series]
    points = [point for one in kept for point in one.points]
    if not points:
        return paragraph(f"{y_title}: there is nothing to draw")
    x_axis = _Axis.marked(x_marks) if x_marks else _Axis.around([x for x, _ in points])
    y_axis = (_Axis.powers if log_y else _Axis.around)([y for _, y in points])
    marks = []
    for number, one in enumerate(kept):
        places = [(_across(x_axis.share(x)), _up(y_axis.share(y))) for x, y in one.points]
        colour = _colour(number)
        if not dots:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            marks.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        else:
            marks += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in places]
    return _svg(marks, x_axis, y_axis, x_title, y_title) + _key([one.name for one in kept])


def bar_plot(edges: Sequence[float], counts: Sequence[float], x_title: str, y_title: str) -> str:
    """A histogram: counts (n,) between edges (n + 1,)."""
    if not counts or edges[-1] <= edges[0]:
        return paragraph(f"{y_title}: there is nothing to draw")
    x_axis, y_axis = _Axis(edges[0], edges[-1]), _Axis(0.0, max(counts) or 1.0)
    bars = []
    for (low, high), count in zip(itertools.pairwise(edges), counts, strict=True):
        left, right, top = _across(x_axis.share(low)), _across(x_axis.share(high)), _up(y_axis.share(count))
        bars.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(right - left - 1, 0.5):.1f}" '
            f'height="{HEIGHT - BOTTOM - top:.1f}" fill="{_colour(0)}"/>'
        )
    return _svg(bars, x_axis, y_axis, x_title, y_title)


class Band(NamedTuple):
    """A stretch of a lane from `start` to `stop`, of the colour with this number."""

    start: float
    stop: float
    colour: int


def lanes(rows: Sequence[tuple[str, Sequence[Band]]], names: Sequence[str], x_title: str) -> str:
    """Stretches of time in lanes above each other; `names` are the meanings of the colours."""
    ends = [edge for _, bands in rows for band in bands for edge in (band.start, band.stop)]
    if not ends:
        return paragraph(f"{x_title}: there is nothing to draw")
    x_axis = _Axis.around(ends)
    height = (HEIGHT - TOP - BOTTOM) / len(rows)
    marks = []
    for place, (title, bands) in enumerate(rows):
        top = TOP + place * height
        marks.append(f'<text x="{LEFT - 6}" y="{top + height / 2 + 4:.1f}" text-anchor="end">{escape(title)}</text>')
        for start, stop, colour in bands:
            left, right = _across(x_axis.share(start)), _across(x_axis.share(stop))
            marks.append(
                f'<rect x="{left:.1f}" y="{top + 2:.1f}" width="{max(right - left, 1.5):.1f}" '
                f'height="{height - 4:.1f}" fill="{_colour(colour)}"/>'
            )
    return _svg(marks, x_axis, None, x_title, "") + _key(names)


class Bar(NamedTuple):
    """A bar, and what is written behind it."""

    name: str
    length: float
    text: str


def bars(rows: Sequence[Bar]) -> str:
    """Bars below each other, the longest as wide as there is room."""
    longest = max([bar.length for bar in rows], default=0.0) or 1.0
    marks = []
    for place, bar in enumerate(rows):
        top = place * BAR_PITCH
        width = max(bar.length, 0.0) / longest * (WIDTH - BAR_LEFT - BAR_RIGHT)
        marks.append(f'<text x="{BAR_LEFT - 6}" y="{top + 16}" text-anchor="end">{escape(bar.name)}</text>')
        marks.append(
            f'<rect x="{BAR_LEFT}" y="{top + 4}" width="{max(width, 0.5):.1f}" height="{BAR_PITCH - 8}" '
            f'fill="{_colour(0)}"/>'
        )
        marks.append(f'<text x="{BAR_LEFT + width + 6:.1f}" y="{top + 16}">{escape(bar.text)}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {len(rows) * BAR_PITCH}" role="img">{"".join(marks)}</svg>'


class _Axis(NamedTuple):
    low: float
    high: float
    marks: Sequence[tuple[float, str]] = ()

    @classmethod
    def around(cls, values: Sequence[float]) -> _Axis:
        low, high = min(values), max(values)
        margin = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
        return cls(low if low == 0 else low - margin, high + margin)

    @classmethod
    def marked(cls, marks: Sequence[tuple[float, str]]) -> _Axis:
        """From the first mark to the last."""
        return cls(marks[0][0], marks[-1][0], marks)

    @classmethod
    def powers(cls, exponents: Sequence[float]) -> _Axis:
        """A logarithmic axis around these powers of ten."""
        low, high = math.floor(min(exponents)), math.floor(max(exponents)) + 1
        return cls(low, high, [(power, f"{10.0**power:g}") for power in range(low, high + 1)])

    def share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> Sequence[tuple[float, str]]:
        """Places on the axis and what stands there: the marks, or round numbers."""
        if self.marks:
            return self.marks
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / MAX_TICKS))
        step *= next(factor for factor in (1, 2, 5, 10) if (self.high - self.low) / (factor * step) <= MAX_TICKS)
        first = math.ceil(self.low / step)
        return [(number * step, f"{number * step:.6g}") for number in range(first, math.floor(self.high / step) + 1)]


def _across(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _up(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _colour(number: int) -> str:
    """One of six colours that follow the reader's setting, and beyond them as many as are needed."""
    return f"var(--c{number})" if number < 6 else f"hsl({(number * 137.5) % 360:.0f} 60% 50%)"


def _svg(marks: Sequence[str], x_axis: _Axis, y_axis: _Axis | None, x_title: str, y_title: str) -> str:
    bottom = HEIGHT - BOTTOM
    lines = [f'<path class="axis" d="M{LEFT},{TOP}V{bottom}H{WIDTH - RIGHT}"/>']
    for tick, text in x_axis.ticks():
        x = _across(x_axis.share(tick))
        lines.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{escape(text)}</text>')
    for share, text in [] if y_axis is None else [(y_axis.share(tick), text) for tick, text in y_axis.ticks()]:
        lines.append(f'<path class="axis" d="M{LEFT},{_up(share):.1f}H{WIDTH - RIGHT}"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{_up(share) + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    middle_x, middle_y = (LEFT + WIDTH - RIGHT) / 2, (TOP + bottom) / 2
    lines.append(f'<text x="{middle_x}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_title)}</text>')
    turn = f"rotate(-90 14 {middle_y})"
    lines.append(f'<text x="14" y="{middle_y}" transform="{turn}" text-anchor="middle">{escape(y_title)}</text>')
    label = escape(y_title or x_title, quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(lines)}{"".join(marks)}</svg>'


def _key(names: Sequence[str]) -> str:
    entries = (
        f'<span class="key"><span style="color:{_colour(number)}">&#9632;</span> {escape(name)}</span>'
        for number, name in enumerate(names)
        if name
    )
    return f"<div>{''.join(entries)}</div>"
