"""Metrics and log lines of one partition's batches."""

from typing import Any

from runtime.consume.attempt import BatchAttempt
from runtime.errors import RetryLater
from runtime.observe.logs import log, where
from runtime.observe.metrics import Metrics
from runtime.storage.database import infrastructure


class PartitionReporter:
    """Reports the results of the batches of one (consumer, topic, partition)."""

    def __init__(self, metrics: Metrics, consumer: str, topic: str, partition: int) -> None:
        self._metrics = metrics
        self._consumer = consumer
        self._labels = (consumer, topic, str(partition))
        self._about: dict[str, Any] = {"consumer": consumer, "topic": topic, "partition": partition}

    def committed(self, attempt: BatchAttempt, seconds: float) -> None:
        """Report a committed transaction and its duration in seconds."""
        metrics = self._metrics
        consumer = self._consumer
        metrics.events.labels(*self._labels).inc(attempt.applied)
        if attempt.consumed:
            metrics.batch_size.labels(consumer).observe(attempt.consumed)
        metrics.transaction.labels(consumer).observe(seconds)
        metrics.emitted.labels(consumer).inc(len(attempt.rows))
        if attempt.duplicates:
            metrics.duplicates.labels(*self._labels).inc(attempt.duplicates)
        if attempt.out_of_order:
            metrics.out_of_order.labels(*self._labels).inc(attempt.out_of_order)
            log.warning("sequence_out_of_order", records=attempt.out_of_order, **self._about)
        for key, offset, reason in attempt.parked.new:
            metrics.parked.labels(consumer).inc()
            log.warning("event_parked", key=key, offset=offset, reason=reason, **self._about)
        for dead in attempt.dead:
            metrics.dead_letters.labels(consumer).inc()
            log.warning("record_dead_lettered", offset=dead.raw.offset, reason=dead.reason, **self._about)
        log.debug(
            "batch_committed",
            records=attempt.consumed,
            emitted=len(attempt.rows),
            ms=round(seconds * 1000, 1),
            **self._about,
        )

    def fenced(self, records: int) -> None:
        """Report records that were polled again after their commit."""
        self._metrics.fenced.labels(*self._labels).inc(records)
        log.info("records_fenced", records=records, **self._about)

    def passed_gap(self) -> None:
        """Count an offset gap without loss."""
        self._metrics.gaps.labels(*self._labels).inc()

    def failed(self, error: Exception, *, tries: int, retry_after: float) -> None:
        """Report a failed attempt.

        ``tries``: how many attempts have failed unexpectedly, this one included. ``retry_after``: seconds.
        """
        cause = type(error).__name__
        self._metrics.retries.labels(self._consumer, cause).inc()
        if isinstance(error, RetryLater):
            log.info("event_deferred", reason=str(error), error=cause, **self._about)
        elif infrastructure(error):
            log.warning("retry_scheduled", after=round(retry_after, 2), error=cause, **self._about)
        else:
            log.error("handler_failed", tries=tries, where=where(error), error=cause, **self._about)
