"""The frame of the command line: help, laziness, exit statuses, messages, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import click
import pytest

from edgernn import errors
from edgernn.__main__ import main
from edgernn.cli import COMMANDS, command_line, options
from edgernn.cli.text import escape, format_table
from edgernn.demo import MODEL
from edgernn.program import validation

Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example(name: str, edgernn_command: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = edgernn_command(name, "--help")
    assert (status, err) == (0, "")
    assert f"edgernn {name}" in out.partition("Example")[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_entry_names_a_command(name: str) -> None:
    module, line = COMMANDS[name]
    command = getattr(import_module(module), name)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert line.endswith(".")


def test_help_lists_every_command(edgernn_command: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = edgernn_command("--help")
    assert status == 0
    assert all(name in out for name in COMMANDS)


def test_help_imports_nothing_heavy(run_python: Callable[..., str]) -> None:
    code = """
        import sys
        from edgernn.__main__ import main
        main(["--help"])
        print(sorted({"numpy", "numba", "onnx", "onnxruntime", "serial"} & set(sys.modules)))
    """
    assert run_python(code).splitlines()[-1] == "[]"


def test_version(edgernn_command: Callable[..., tuple[int, str, str]]) -> None:
    import edgernn

    assert edgernn_command("--version") == (0, f"edgernn {edgernn.__version__}\n", "")


def test_without_a_command_it_shows_help(edgernn_command: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = edgernn_command()
    assert status == 2
    assert "Commands:" in out + err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["inspect"], "Missing argument 'MODEL'"),
        (["inspect", "/no/such/file.onnx"], "does not exist"),
        (["inspect", __file__, "--window", "0"], "0 is not in the range"),
        (["inspect", __file__, "--states", "h"], "must be INPUT=OUTPUT"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
)
def test_wrong_usage_is_status_2(
    arguments: list[str], message: str, edgernn_command: Callable[..., tuple[int, str, str]]
) -> None:
    status, out, err = edgernn_command(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("edgernn: error: ")
    assert message in err


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UnsupportedModelError("node LSTM_3"), 3),
        (errors.MalformedModelError("cut off"), 3),
        (errors.StatePairingError("h0 or h1"), 3),
        (errors.ProgramFileError("newer"), 3),
        (errors.ConfigError("baud"), 2),
        (errors.SourceBusyError("held"), 1),
        (errors.InputError("shape"), 1),
        (FileNotFoundError("gone"), 1),
        (RuntimeError("a bug"), 1),
        (KeyboardInterrupt(), 0),
    ],
)
def test_errors_become_a_message_and_a_status(
    error: BaseException,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    edgernn_command: Callable[..., tuple[int, str, str]],
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setitem(COMMANDS, "fail", ("edgernn.cli.fail", "Fails."))
    monkeypatch.setattr(type(command_line), "get_command", lambda *_: click.Command("fail", callback=fail))
    done = edgernn_command("fail")
    assert done[:2] == (status, "")
    assert "Traceback" not in done[2]
    if status:
        assert done[2].startswith("edgernn: error: ")
        assert str(error) in done[2]


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise errors.MalformedModelError("cut off")

    monkeypatch.setenv("EDGERNN_DEBUG", "1")
    monkeypatch.setattr(type(command_line), "get_command", lambda *_: click.Command("fail", callback=fail))
    with pytest.raises(errors.MalformedModelError):
        main(["fail"])


def test_sigterm_ends_with_status_0(run_python: Callable[..., str]) -> None:
    code = """
        import os, signal
        import click
        from edgernn.__main__ import main
        from edgernn.cli import LazyGroup
        stop_itself = click.Command("stop", callback=lambda: os.kill(os.getpid(), signal.SIGTERM) or signal.pause())
        LazyGroup.get_command = lambda *_: stop_itself
        print(main(["stop"]))
    """
    assert run_python(code) == "0\n"


@pytest.mark.parametrize("module", ["click", "edgernn.cli.outcome", "edgernn.cli.inspect", "numpy", "onnx"])
@pytest.mark.parametrize("sent", ["SIGINT", "SIGTERM"])
def test_a_signal_while_modules_are_imported_ends_quietly(module: str, sent: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"""if True:
        import os, signal, sys

        class Interrupter:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name == "{module}":
                    print("interrupted")
                    sys.stdout.flush()
                    os.kill(os.getpid(), signal.{sent})

        sys.meta_path.insert(0, Interrupter)
    """)
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "edgernn", "inspect", str(MODEL)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.strip()) == (0, "interrupted\n", "")


def test_an_output_that_lacks_a_character_gets_an_escape() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgernn", "inspect", "✋.onnx"],
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert rb"\u270b.onnx" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, edgernn_command: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = edgernn_command("completion", shell)
    assert status == 0
    assert "_EDGERNN_COMPLETE" in out


@pytest.mark.parametrize(("words", "completed"), [("edgernn ins", "inspect"), ("edgernn warm --win", "--window")])
def test_commands_and_options_are_completed(words: str, completed: str, tmp_path: Path) -> None:
    position = str(len(words.split()) - 1)
    done = subprocess.run(
        [sys.executable, "-m", "edgernn"],
        env=os.environ | {"_EDGERNN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": position},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [f"plain,{completed}"]


def test_nothing_controls_the_terminal() -> None:
    assert escape("\x1b[2J\r\n\x9b\u202e✋ä") == "\\x1b[2J\\r\\n\\x9b\\u202e✋ä"
    assert "\x1b" not in format_table([("\x1b]0;title\a", 1)])


@pytest.mark.parametrize(
    "words",
    [
        ("check", MODEL, "--steps", 10**20),
        ("check", MODEL, "--tolerance", "nan"),
        ("check", MODEL, "--hop", 5),
        ("inspect", MODEL, "--window", 10**14),
        ("demo", "--speed", "nan"),
        ("demo", "--seconds", "inf"),
    ],
    ids=lambda words: " ".join(map(str, words[2:] or words)),
)
def test_numbers_that_make_no_sense_are_usage_errors(words: tuple[object, ...], edgernn_command: Command) -> None:
    status, _, err = edgernn_command(*words)
    assert status == 2
    assert "Try 'edgernn" in err


def test_the_longest_window_is_the_same_everywhere() -> None:
    assert options.MAX_WINDOW_STEPS == validation.MAX_WINDOW_STEPS


def test_warm_fails_where_nothing_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edgernn_command: Command
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("EDGERNN_CACHE_DIR", str(tmp_path / "file" / "cache"))
    status, _, err = edgernn_command("warm", MODEL)
    assert status == 1
    assert "nothing was cached" in err


def test_a_run_after_warm_compiles_nothing(tmp_path: Path) -> None:
    def kept(*words: str | Path, lines: str = "") -> set[str]:
        """Runs a command in a process of its own; what then lies in the cache."""
        environment = os.environ | {"EDGERNN_CACHE_DIR": str(tmp_path)}
        command = [sys.executable, "-m", "edgernn", *map(str, words)]
        subprocess.run(command, env=environment, input=lines, text=True, capture_output=True, check=True, timeout=250)
        return {path.name for path in tmp_path.rglob("*") if path.is_file()}

    warmed = kept("warm", MODEL)
    assert warmed
    assert kept("run", MODEL, "stdin:", lines="1,2,9,0,0,0\n" * 100) == warmed
