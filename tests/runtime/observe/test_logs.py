"""A log line never contains the message of an error, because the message may contain personal data."""

import json
import logging
import subprocess
import sys

import pytest

from runtime.observe.logs import AtMost, places, where

NAME = "例小明"
SCRIPT = f"""
import logging
from runtime.observe import logs

logs.configure("alpha", 0, "INFO")

def refused(name):
    raise KeyError(name)

try:
    try:
        refused({NAME!r})
    except KeyError as error:
        raise ValueError("row of " + {NAME!r}) from error
except ValueError as error:
    logs.log.error("one", exc_info=True)
    logs.log.error("two", exc_info=error)
    library = logging.getLogger("somebody.else")
    library.error("three", exc_info=error)
    library.error("four: %s", error, exc_info=error)
    library.error("five: %r of %s", error.__cause__, error, exc_info=error)
"""


def test_a_failure_is_logged_by_type_and_place_without_its_message() -> None:
    """Lines of the system and lines of libraries are checked."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    logged = ["one", "two", "three", "four: ValueError", "five: KeyError of ValueError"]
    assert [line["event"] for line in lines] == logged
    for line in lines:
        assert [place for place in line["trace"] if "Error" in place] == ["ValueError", "KeyError"]
        assert line["trace"][-1].endswith(" refused")
        assert line["level"] == "error"
    assert NAME not in done.stderr


def test_each_failure_of_a_group_is_logged_with_its_place() -> None:
    try:
        raise ExceptionGroup(NAME, [_caught(KeyError(NAME)), _caught(OSError(NAME))])
    except ExceptionGroup as group:
        trace = places(group)

    assert [place for place in trace if ":" not in place] == ["ExceptionGroup", "KeyError", "OSError"]
    assert NAME not in str(trace)


def test_the_place_of_a_failure_is_the_innermost() -> None:
    assert where(_caught(KeyError(NAME))).endswith(" _caught")
    assert where(KeyError(NAME)) == "unknown"


def test_a_repeated_line_of_a_library_is_rate_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreachable broker makes its client log hundreds of lines a second."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    filter_ = AtMost(10.0)

    def passes(text: str) -> bool:
        return bool(filter_.filter(logging.LogRecord("aiokafka", logging.ERROR, "", 0, text, (), None)))

    assert [passes("a"), passes("a"), passes("b")] == [True, False, True]
    now = 110.0
    assert passes("a")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a device that is always full")
def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    """The disk is full; the program continues."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT + "\nprint('went on')"],
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, "went on\n")


def _caught(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught
