"""Report and trace: everything is in them, nothing else gets in, and a browser opens the page without complaint."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from stepped_clock import SteppedClock
from stream_models import larger_channel

from edgernn.errors import InputError
from edgernn.html_report import Bar, Series, bars, line_plot
from edgernn.latency.budget import latency_budget
from edgernn.latency.measurement import Measurement
from edgernn.latency.operations import OperationTime, OperationTimes
from edgernn.latency.profiler import profile
from edgernn.latency.recorder import LatencyRecorder
from edgernn.latency.report import Profile, html_report
from edgernn.latency.targets import StepTarget
from edgernn.latency.trace import trace_text
from edgernn.latency.verified import Verified, read_verified
from edgernn.stream.realtime import Grant

HOSTILE = '<script>alert("1")</script>'


@pytest.fixture
def recorders() -> dict[str, LatencyRecorder]:
    clock = SteppedClock()
    steps = [StepTarget(name, clock.pass_ns, times) for name, times in (("a", [1000]), (HOSTILE, [500, 90_000]))]
    recorders = profile(steps, 3000, 1_000_000, clock=clock)
    return {step.name: recorder for step, recorder in zip(steps, recorders, strict=True)}


@pytest.fixture
def html(recorders: dict[str, LatencyRecorder]) -> str:
    found = Profile(
        model=HOSTILE,
        machine={"CPU": HOSTILE},
        measurements=tuple(Measurement.of(name, recorder) for name, recorder in recorders.items()),
        grants=(Grant("core", True, HOSTILE),),
        operations=OperationTimes((OperationTime(HOSTILE, "Gru", 300.0, 1.0),), 300.0, 290.0),
        budget=latency_budget(larger_channel(rate_hz=50.0)),
        verified=(Verified(HOSTILE, 14_000, "instructions", 0.2),),
    )
    return html_report(found, recorders)


def test_the_page_holds_everything_and_executes_and_fetches_nothing(html: str) -> None:
    for text in ("1 µs".replace(" ", "\u00a0"), "90 µs".replace(" ", "\u00a0"), "300 ns, 100%", "14,000", "granted"):
        assert text in html
    assert "<script" not in html
    assert "http" not in html
    assert html.count("&lt;script&gt;") >= 8


def test_the_page_opens_in_a_browser_without_complaint(
    html: str, needs_tool: Callable[[str], str], tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(html, "utf-8")
    browser = [needs_tool("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    options = [f"--user-data-dir={tmp_path}", "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"]
    done = subprocess.run([*browser, *options, path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    assert done.stdout.count("<svg") == 4  # percentiles, over time, operations, budget


def test_the_trace_shows_lateness_and_work(recorders: dict[str, LatencyRecorder]) -> None:
    events = json.loads(trace_text(recorders))["traceEvents"]
    assert [event["args"]["name"] for event in events if event["ph"] == "M"] == ["a", HOSTILE]
    spans = [event for event in events if event["ph"] == "X" and event["tid"] == 2]
    assert {event["name"] for event in spans} == {"late", "work"}
    work = [event for event in spans if event["name"] == "work"]
    assert [event["dur"] for event in work[:4]] == [0.5, 90.0, 0.5, 90.0]
    assert work[1]["ts"] - work[0]["ts"] == pytest.approx(1000.0)
    assert all(event["dur"] == 0.0 for event in spans if event["name"] == "late")


def test_what_verify_wrote_is_read(tmp_path: Path) -> None:
    path = tmp_path / "verified.json"
    path.write_text(json.dumps([{"machine": "cortex-m4", "equal": True, "count": 9000, "counts": "instructions"}]))
    assert read_verified(path) == (Verified("cortex-m4", 9000, "instructions"),)
    assert read_verified(path)[0].row() == ("cortex-m4", "9,000", "instructions", "")


@pytest.mark.parametrize("content", ["", "{}", '[{"count": 1}]', "[1]", '[{"machine": 5}]'])
def test_another_file_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "verified.json"
    path.write_text(content)
    with pytest.raises(InputError, match="was not written by `edgernn verify DIR --json`"):
        read_verified(path)


def test_a_logarithmic_axis_and_bars_stand_in_proportion() -> None:
    points = line_plot([Series("a", [(0, 1.0), (1, 10.0), (2, 100.0), (3, 0.0)])], "x", "y", log_y=True)
    places = [tuple(map(float, pair.split(","))) for pair in points.split('points="')[1].split('"')[0].split()]
    (x0, y0), (x1, y1), (x2, y2) = places  # what is not above 0 has no place
    assert (x1 - x0, y1 - y0) == pytest.approx((x2 - x1, y2 - y1), abs=0.2)
    assert ">100<" in points
    marked = line_plot([Series("a", [(0, 1.0)])], "x", "y", x_marks=[(0, "begin"), (5, "<end>")])
    assert "&lt;end&gt;" in marked
    widths = [float(part.split('"')[0]) for part in bars([Bar("a", 2, ""), Bar("b", 4, "")]).split(' width="')[1:]]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)
