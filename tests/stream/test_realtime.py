"""Real-time settings are in force inside and gone after, or are refused with a remedy."""

import gc
import os
from collections.abc import Callable

import pytest

from edgernn.errors import ConfigError
from edgernn.stream.realtime import realtime


def test_garbage_collection_is_off_inside() -> None:
    with realtime(["gc"]) as (grant,):
        assert grant.granted
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_disabled_collector_stays_disabled() -> None:
    gc.disable()
    try:
        with realtime(["gc"]):
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_one_core_inside() -> None:
    before = os.sched_getaffinity(0)
    with realtime(["core"], core=min(before)) as (grant,):
        assert grant.granted
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("core", [100_000, 2**40])
def test_a_core_that_is_not_there_is_refused_with_the_others(core: int) -> None:
    before = os.sched_getaffinity(0)
    with realtime(["core"], core=core) as (grant,):
        assert not grant.granted
        assert f"core {core} is not available: use one of {min(before)}" in grant.detail
    assert os.sched_getaffinity(0) == before


def test_first_in_first_out_inside_or_a_remedy() -> None:
    with realtime(["fifo"], priority=7) as (grant,):
        if grant.granted:
            assert os.sched_getscheduler(0) == os.SCHED_FIFO
            assert os.sched_getparam(0).sched_priority == 7
        else:
            assert "LimitRTPRIO" in grant.detail
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


LOCKED = """
    from edgernn.stream.realtime import realtime

    def locked():
        lines = open("/proc/self/status").read().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmLck"))

    with realtime(["memory"]) as (grant,):
        print(grant.granted, locked() > 0, "LimitMEMLOCK" in grant.detail)
    print(locked())
"""


def test_memory_is_locked_inside_or_there_is_a_remedy(run_python: Callable[..., str]) -> None:
    inside, after = run_python(LOCKED).splitlines()
    assert inside in {"True True False", "False False True"}
    assert after == "0"


def test_a_permission_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    with realtime(["fifo"]) as (grant,):
        assert not grant.granted
        assert "ulimit -r 99" in grant.detail


def test_systems_without_these_calls_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sched_setaffinity", "sched_setscheduler"):
        monkeypatch.delattr(os, name)
    monkeypatch.setattr("sys.platform", "win32")
    with realtime(["core", "fifo", "memory"]) as grants:
        assert [grant.granted for grant in grants] == [False] * 3


def test_wrong_requests() -> None:
    with pytest.raises(ConfigError, match="fast is unknown"), realtime(["fast"]):  # type: ignore[list-item]
        pass
    with pytest.raises(ConfigError, match="priority is 0"), realtime(priority=0):
        pass
