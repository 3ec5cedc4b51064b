"""One JSON line per fact on standard error: ids only, never a payload, never personal data.

A failure is logged as its types and the places it passed through. Its message is not: it may quote somebody's data
(a key that was not found, a value the database refused).
"""

import logging
import sys
import time
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import structlog

log: Any = structlog.get_logger("hutong")
"""The runtime's logger."""

_NOISY = ("aiokafka", "kafka", "hutong.faststream")


def where(error: BaseException) -> str:
    """Return the innermost place of a failure, as ``file:line function``."""
    frames = traceback.extract_tb(error.__traceback__)
    return _place(frames[-1]) if frames else "unknown"


def places(error: BaseException) -> list[str]:
    """Return a failure and its causes: the type of each, then its places, the innermost last."""
    lines: list[str] = []
    for cause in _chain(error):
        lines += [type(cause).__name__, *map(_place, traceback.extract_tb(cause.__traceback__))]
    return lines


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from _chain(inner)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _place(frame: traceback.FrameSummary) -> str:
    return f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}"


def _without_message(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else (given[1] if isinstance(given, tuple) else None)
    if error is None and given is True:
        error = sys.exc_info()[1]
    if error is not None:
        event["trace"] = places(error)
        event["event"] = _without_error_text(str(event["event"]), error)
    return event


def _without_error_text(text: str, error: BaseException) -> str:
    """Return a line in which each text of a failure is replaced by its type: libraries quote data in their errors."""
    types = {words: type(cause).__name__ for cause in _chain(error) for words in (repr(cause), str(cause)) if words}
    for words in sorted(types, key=len, reverse=True):  # a shorter text may be part of a longer one
        text = text.replace(words, types[words])
    return text


class AtMost(logging.Filter):
    """Lets the same message of a logger through once in ``seconds``: a broker outage writes thousands."""

    def __init__(self, seconds: float = 10.0) -> None:
        super().__init__()
        self._seconds = seconds
        self._last: dict[tuple[str, object], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the message is due again."""
        key = (record.name, record.msg)
        now = time.monotonic()
        if now - self._last.get(key, -self._seconds) < self._seconds:
            return False
        if len(self._last) > 1000:
            self._last.clear()
        self._last[key] = now
        return True


class Steady:
    """A stream that never fails: a log that cannot be written (a full disk) must not stop the work that it reports."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write if possible; return the number of characters written."""
        with suppress(OSError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        """Flush if possible."""
        with suppress(OSError):
            self._stream.flush()


def configure(service: str, ordinal: int, level: str) -> None:
    """Set up structlog and the standard library's loggers, once per process."""
    stream: Any = Steady(sys.stderr)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_message,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service, ordinal=ordinal)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processor=structlog.processors.JSONRenderer(ensure_ascii=False)
        )
    )
    handler.addFilter(AtMost())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
