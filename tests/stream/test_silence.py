"""Rate and silence are told, not fatal: hiccups, pauses, silent and stuck boards, sensors that are gone."""

import pytest
from scripted_line import Line
from stream_models import larger_channel, largest_channel

from edgernn.errors import FormatError


def play(line: Line) -> list[str]:
    with line.stream as stream:
        list(stream)
    return line.notices


def send_lines(
    line: Line, begin_s: float, end_s: float, rate_hz: float = 50.0, text: str = "", first: int | None = None
) -> None:
    """Samples from `begin_s` to `end_s`, numbered from `first` if it is given."""
    for number in range(round((end_s - begin_s) * rate_hz)):
        values = text or f"{number % 7 / 10},{1 + number % 5 / 10},0"
        values = values if first is None else f'{{"seq":{first + number},"x":{number % 7},"y":1,"z":0}}'
        line.send(begin_s + number / rate_hz, values.encode() + b"\n")


def fifty_hertz(**settings: object) -> Line:
    return Line(larger_channel(rate_hz=50.0), **settings)


def test_a_wrong_rate_at_the_start_is_an_error_that_names_both_rates_and_a_remedy() -> None:
    line = fifty_hertz()
    send_lines(line, 0, 10, 60.0)
    with pytest.raises(FormatError, match=r"60 samples per second arrive, .* 50: .* --resample linear"):
        play(line)
    assert line.clock.monotonic_ns() < 6e9


def test_a_wrong_rate_later_is_a_notice_that_is_given_once() -> None:
    line = fifty_hertz()
    send_lines(line, 0, 10, 50.0)
    send_lines(line, 10, 40, 60.0)
    notices = play(line)
    assert len(notices) == 1
    assert notices[0].startswith("60 samples per second arrive, the model was trained at 50")
    assert "the stream goes on" in notices[0]
    assert line.stream.status().steps == 499 + 1800


@pytest.mark.parametrize("begin_s", [0.5, 1.0, 2.1, 3.3, 7.0])
@pytest.mark.parametrize("pause_s", [0.3, 0.9, 1.7, 2.9])
def test_one_hiccup_after_which_all_comes_in_one_burst_is_nothing(begin_s: float, pause_s: float) -> None:
    line = fifty_hertz()
    send_lines(line, 0, begin_s)
    burst = b"".join(b"0.%d,1,0\n" % (number % 9) for number in range(round(pause_s * 50)))
    line.send(begin_s + pause_s, burst)
    send_lines(line, begin_s + pause_s, 20)
    assert play(line) == []


def test_samples_that_are_lost_late_or_malformed_have_come_for_the_rate() -> None:
    for kind in ("lost", "malformed"):
        line = fifty_hertz()
        for number in range(1000):
            if number % 5:
                line.send(number / 50, f'{{"seq":{number},"x":{number % 7},"y":1,"z":0}}\n'.encode())
            elif kind == "malformed":
                line.send(number / 50, b'{"seq":\xff,"x":\n')
        assert play(line) == []
        assert line.stream.status().rate_hz == pytest.approx(50.0, rel=0.02)
    line = fifty_hertz()
    for number in range(1000):
        line.send(number / 50, b"0.%d,1,0\n" % (number % 9) if number % 5 else b"0.1,\xff,0\n")
    assert play(line) == []


def test_a_silent_port_is_told_after_three_seconds_and_every_minute_and_the_summary_says_how_long() -> None:
    line = fifty_hertz()
    send_lines(line, 0, 10)
    send_lines(line, 150, 160)
    notices = play(line)
    assert [notice.split(":")[0] for notice in notices] == [
        "nothing has come from the port for 3 s",
        "nothing has come from the port for 63 s",
        "nothing has come from the port for 123 s",
        "the port",
    ]
    assert "reset button" in notices[0]
    assert notices[-1] == "the port: no bytes is over, after 140.0 s"
    assert line.stream.status().silent_s == {"no bytes": pytest.approx(140, abs=0.2)}


def test_a_port_that_is_silent_from_the_start_is_told() -> None:
    line = fifty_hertz()
    line.send(10, b"0,1,0\n0,1,0\n0,1,0\n")
    assert play(line)[0].startswith("nothing has come from the port for 3 s")


def test_bytes_without_samples_are_told_after_three_seconds_and_every_minute() -> None:
    line = fifty_hertz()
    send_lines(line, 0, 5)
    for number in range(700):
        line.send(5 + number / 10, b"waiting for the sensor\n")
    send_lines(line, 75, 80)
    notices = [notice for notice in play(line) if not notice.startswith("a line before the samples")]
    assert len(notices) == 2
    assert all(
        notice.startswith("bytes come from the port, but no samples; the last bytes are b'") for notice in notices
    )
    status = line.stream.status()
    assert status.silent_s == {"no samples": pytest.approx(70, abs=0.2)}
    assert status.steps == 249 + 250  # the beginning of the first line was not seen


def test_a_sensor_that_is_gone_and_values_that_never_change_are_told() -> None:
    line = fifty_hertz(gap="reset")
    send_lines(line, 0, 5)
    for number in range(500):
        line.send(5 + number / 50, f"{number % 7},nan,0\n".encode())
    send_lines(line, 15, 20)
    send_lines(line, 20, 30, text="0.5,1,0")
    send_lines(line, 30, 31)
    notices = play(line)
    assert notices[0].startswith("channel 1, counted from 0, of the port has held no number for 3 s: check this sensor")
    assert notices[1].startswith("the port: a channel without numbers is over, after 10")
    assert notices[2].startswith("the samples of the port have not changed for 3 s: is the sensor connected")
    assert notices[3].startswith("the port: the same values is over, after 10")
    assert len(notices) == 4
    assert set(line.stream.status().silent_s) == {"a channel without numbers", "the same values"}


def test_after_an_outage_the_heading_format_and_columns_hold_through_any_text() -> None:
    for outage_s in (0.1, 4.0, 60.0):
        line = Line(largest_channel())
        line.send(0, b"\nz,x,y\n")
        send_lines(line, 0.02, 5, text="9,0,1")
        line.notice(5.0, "lost")
        line.notice(5.0 + outage_s, "reopened")
        back_s = 5.0 + outage_s
        for number in range(50):  # five seconds of what the board says while it boots
            line.send(back_s + number / 10, b"connecting to the network\n")
        send_lines(line, back_s + 5.0, back_s + 10.0, text="0,1,9")
        with line.stream as stream:
            events = [event.label for event in stream]
        assert events == ["circle", "wave"], outage_s
        status = stream.status()
        assert status.silent_s["unplugged"] == pytest.approx(outage_s, abs=0.01)
        assert "no bytes" not in status.silent_s
