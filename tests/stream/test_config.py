"""Settings: precedence, and errors that name the entry."""

import re
from pathlib import Path

import pytest

from edgernn.cli.options import LoadOptions
from edgernn.errors import ConfigError
from edgernn.program.metadata import DecisionSettings
from edgernn.stream.config import (
    OPTION_NAMES,
    DecisionChanges,
    InputSettings,
    StreamSettings,
    as_settings,
    resolve,
    to_toml,
)


def write(folder: Path, text: str) -> Path:
    path = folder / "gesture.toml"
    path.write_text(text, "utf-8")
    return path


def test_flag_before_variable_before_file_before_default(tmp_path: Path) -> None:
    path = write(tmp_path, "hop = 2\nbaud = 9600\ngap_steps = 3\n[decision]\nthreshold = 0.7\nrelease = 0.6\n")
    environment = {"EDGERNN_HOP": "3", "EDGERNN_BAUD": "57600", "EDGERNN_DECISION_THRESHOLD": "0.8"}
    settings = resolve({"hop": 4, "decision": {"minimum_steps": 5}}, environment=environment, path=path)
    assert (settings.hop, settings.baud, settings.gap_steps, settings.gap) == (4, 57600, 3, "hold")
    assert settings.decision == DecisionChanges(threshold=0.8, release=0.6, minimum_steps=5)


def test_everything_a_field_can_say_a_file_and_a_variable_can_say(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'model = "gesture.onnx"\nsource = "COM3"\ncolumns = [2, 0]\nlabels = ["a", "b"]\nmean = [1, 2.5]\n'
        'std = [1, 1]\nreconnect = false\noutput = "events.csv"\n[states]\nh_in = "h_out"\n',
    )
    from_file = resolve({}, environment={}, path=path)
    assert from_file == StreamSettings(
        model=str(tmp_path / "gesture.onnx"),
        source="COM3",
        columns=(2, 0),
        labels=("a", "b"),
        mean=(1.0, 2.5),
        std=(1.0, 1.0),
        reconnect=False,
        output=("events.csv",),
        states={"h_in": "h_out"},
    )
    environment = {
        "EDGERNN_SOURCE": "COM3",
        "EDGERNN_COLUMNS": "2,0",
        "EDGERNN_LABELS": "a, b",
        "EDGERNN_MEAN": "1,2.5",
        "EDGERNN_RECONNECT": "false",
        "EDGERNN_RATE_HZ": "50",
        "EDGERNN_CACHE_DIR": "/somewhere",
    }
    assert resolve({}, environment=environment) == StreamSettings(
        source="COM3", columns=(2, 0), labels=("a", "b"), mean=(1.0, 2.5), reconnect=False, rate_hz=50.0
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("hops = 2", r"gesture\.toml: .*unknown field `hops`"),
        ('hop = "2"', r"gesture\.toml: hop: Expected `int \| null`, got `str`"),
        ("[decision]\nthreshold = 'high'", r"gesture\.toml: decision\.threshold: Expected `float \| null`, got `str`"),
        ("[decision]\nlevel = 1", r"gesture\.toml: decision: .*unknown field `level`"),
        ("logits = true\nraw_scores = true", "exclude each other"),
        ("reset_every = 0", "at least 1"),
        ("columns = [-1]", "counted from 0"),
        ("hop = ", "is not TOML"),
    ],
)
def test_errors_of_a_file_name_the_entry(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        resolve({}, environment={}, path=write(tmp_path, text))


def test_a_file_is_read_up_to_a_mebibyte(tmp_path: Path) -> None:
    text = "hop = 2\n#"
    assert resolve({}, environment={}, path=write(tmp_path, text.ljust(1 << 20))).hop == 2
    with pytest.raises(ConfigError, match="is larger than 1048576 bytes"):
        resolve({}, environment={}, path=write(tmp_path, text.ljust((1 << 20) + 1)))


def test_errors_of_variables_and_flags_name_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="EDGERNN_HOP is 'two': Expected `int"):
        resolve({}, environment={"EDGERNN_HOP": "two"})
    with pytest.raises(ConfigError, match=r"the flags: .*unknown field `speed`"):
        resolve({"speed": 2}, environment={})
    with pytest.raises(ConfigError, match="the settings together: logits and raw_scores"):
        resolve({"logits": True}, environment={"EDGERNN_RAW_SCORES": "1"})
    with pytest.raises(ConfigError, match="cannot be read"):
        resolve({}, environment={}, path=tmp_path / "missing.toml")


def test_changes_of_decision_settings() -> None:
    own = DecisionSettings(threshold=0.8, release=0.7, nothing="rest")
    assert DecisionChanges(threshold=0.5).apply(own) == DecisionSettings(threshold=0.5, release=0.5, nothing="rest")
    assert DecisionChanges(nothing="").apply(own).nothing is None
    with pytest.raises(ConfigError, match=r"decision: release is 0\.9"):
        DecisionChanges(release=0.9).apply(own)


def test_written_settings_are_read_again(tmp_path: Path) -> None:
    settings = StreamSettings(
        model=str(tmp_path / "models" / "a\x7fb.onnx"),
        source="serial:///dev/ttyACM0?format=csv",
        columns=(2, 0),
        scale=0.5,
        rate_hz=50.0,
        labels=("a, b", 'c"d'),
        states={"h.0": "out=1"},
        join="hold",
        inputs={"x": InputSettings(), "heat \u00b0C": InputSettings(source="COM3", rate_hz=1.0, columns=(3,))},
        continuous=True,
        decision=DecisionChanges(threshold=0.8, nothing=""),
    )
    for one in (settings, StreamSettings(model=str(tmp_path / "b.onnx"))):
        path = tmp_path / "settings.toml"
        path.write_text(to_toml(one, tmp_path, ["why"]), "utf-8")
        assert resolve({}, environment={}, path=path) == one


def test_all_options_of_loading_are_settings(tmp_path: Path) -> None:
    path = write(tmp_path, 'tail = "flush"\nattention_steps = 30\n')
    settings = resolve({}, environment={"EDGERNN_TIME_AXIS": "1"}, path=path)
    assert (settings.tail, settings.attention_steps, settings.time_axis) == ("flush", 30, 1)
    assert set(LoadOptions.__struct_fields__) <= set(StreamSettings.__struct_fields__)


def test_options_of_the_command_line_are_settings_too() -> None:
    import click

    from edgernn.cli.run import run

    fields = {*StreamSettings.__struct_fields__, *DecisionChanges.__struct_fields__}
    options = {
        option.lstrip("-").replace("-", "_"): parameter.name
        for parameter in run.params
        if isinstance(parameter, click.Option) and parameter.name in fields
        for option in parameter.opts
        if option.startswith("--")
    }
    assert {option: name for option, name in options.items() if option != name} == OPTION_NAMES
    assert as_settings({"no_reconnect": True, "minimum": 2, "decision": {"release": 0.1}}) == {
        "reconnect": False,
        "decision": {"release": 0.1, "minimum_steps": 2},
    }


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"treshold": 0.5}, "treshold is no setting of a stream: did you mean threshold?"),
        ({"hold_of": 3}, "did you mean hold_off?"),
        ({"qqqqqqq": 3}, "there are model, source, format"),
        ({"rate": 50.0, "rate_hz": 50.0}, "rate_hz is given twice"),
        ({"threshold": 0.5, "decision": {"threshold": 0.4}}, "threshold is given twice"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        as_settings(given)
