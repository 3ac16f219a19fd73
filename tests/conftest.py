"""What all tests share: how property tests search, tools that may be missing, and Python in another process."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explicit_examples import explicit_examples
from hypothesis import HealthCheck, settings

GENERATOR_STATES = pytest.StashKey[dict[int, Any]]()  # by the generator's identity
collect_ignore = ["helpers"]  # modules without tests, which doctest would import a second time


# The same examples in every run, and no judgement of times: a run never fails by chance or because the machine is busy.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fixed", UNTIMED, derandomize=True)
settings.register_profile("search", UNTIMED, derandomize=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    soak = "property tests search with other examples in every run; also run the tests marked soak, which take minutes"
    parser.addoption("--soak", action="store_true", help=soak)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("search" if config.getoption("--soak") else "fixed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say how a failure that a property test found becomes one of its examples."""
    report = yield
    if report.failed and call.excinfo is not None:
        fixtures = getattr(item, "funcargs", {})
        for example in explicit_examples(call.excinfo.value, fixtures):
            report.sections.append(("to try this in every run, write above @given", example))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules are imported without garbage collection, which would look through their syntax trees in vain."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep what the random generators of modules begin with."""
    states = session.config.stash.setdefault(GENERATOR_STATES, {})
    for item in session.items:
        states.update({id(generator): generator.bit_generator.state for generator in generators_of(item)})


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Every test draws the same numbers, whichever tests ran before it in its process."""
    for generator in generators_of(item):
        generator.bit_generator.state = item.config.stash[GENERATOR_STATES][id(generator)]


def generators_of(item: pytest.Item) -> list[np.random.Generator]:
    """The random generators in a test's module."""
    content = vars(item.module) if isinstance(item, pytest.Function) else {}
    return [value for value in content.values() if isinstance(value, np.random.Generator)]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Soak tests are left out (not reported as skipped) unless they are asked for."""
    if config.getoption("--soak"):
        return
    soak = [item for item in items if item.get_closest_marker("soak")]
    if soak:
        config.hook.pytest_deselected(items=soak)
        items[:] = [item for item in items if item not in soak]


@pytest.fixture(scope="session")
def needs_tool() -> Callable[[str], str]:
    """The path of a program that is not part of Python; without it the test is skipped, and fails where CI=true."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            reason = f"{name} is not installed; `tools/test --install-packages` installs what the tests need"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return find


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., str]:
    """Runs code in a fresh interpreter, outside of the checkout, and returns what it prints; fails if it fails."""

    def run(code: str, *arguments: str, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), *arguments],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
