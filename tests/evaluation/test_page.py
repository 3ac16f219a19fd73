"""The page of an evaluation opens in a browser, shows what it should, and lets nothing through unescaped."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stream_models import larger_channel, turns

from edgernn.evaluation.evaluate import evaluate_sessions, with_tuning
from edgernn.evaluation.page import evaluation_page
from edgernn.evaluation.sessions import Piece, Session
from edgernn.html_report import Series, bar_plot, lanes, line_plot
from edgernn.stream.config import StreamSettings

EVIL = "<script>console.error('x')</script>\"&"


@pytest.fixture
def html() -> str:
    samples = turns(6)

    def pieces() -> Iterator[Piece]:
        for row in samples:
            yield Piece(row[None], EVIL if row[0] else "second")

    settings = StreamSettings(labels=(EVIL, "second"))
    session = Session(EVIL, 50.0, pieces)
    return evaluation_page([with_tuning(evaluate_sessions(EVIL, larger_channel(), [session], settings))])


def test_nothing_is_executed_or_fetched(html: str) -> None:
    assert "<script" not in html
    assert "http" not in html
    assert "&lt;script&gt;" in html


def test_the_page_opens_in_a_browser_without_complaint(
    html: str, needs_tool: Callable[[str], str], tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(html, "utf-8")
    browser = [needs_tool("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    options = [f"--user-data-dir={tmp_path}", "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"]
    done = subprocess.run([*browser, *options, path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    assert done.stdout.count("<svg") == 3  # delays, front, one session
    assert "accuracy of labelled outputs" in done.stdout


def test_plots_of_nothing_say_so() -> None:
    nothing = "there is nothing to draw"
    assert nothing in line_plot([Series("a", [(float("nan"), 1.0)])], "x", "y")
    assert nothing in bar_plot([0.0, 0.0], [1], "x", "y")
    assert nothing in lanes([("a", [])], ["a"], "x")


def test_points_and_bars_stand_in_proportion() -> None:
    line = line_plot([Series("a", [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)])], "x", "y")
    points = [tuple(map(float, pair.split(","))) for pair in line.split('points="')[1].split('"')[0].split()]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert y1 == pytest.approx((y0 + y2) / 2, abs=0.1)
    assert y0 > y2  # up is more
    heights = [float(part.split('"')[0]) for part in bar_plot([0, 1, 2], [2, 4], "x", "y").split(' height="')[1:]]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.1)
