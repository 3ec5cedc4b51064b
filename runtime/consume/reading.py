"""Reads a batch's records: decodes them, drops those out of sequence, and applies watermarks."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from contracts.clock import DayBegan
from contracts.event import Envelope
from runtime.consume.attempt import BatchAttempt
from runtime.consume.decode import (
    DeadLetter,
    Decoded,
    RecordDecoder,
    UnreadableEvent,
    WatermarkRecord,
    is_shallow,
)
from runtime.consume.sequence import SequenceCheck, SequenceTracker
from runtime.consume.watermarks import Watermarks
from runtime.errors import Halt, UnprocessableEvent
from runtime.handlers import InboundEvent, MalformedHandler
from runtime.observe.logs import where
from runtime.records import ConsumerRecord

_LONGEST_CLOCK_JUMP = 400
"""Days. A clock that jumps further is wrong rather than late."""


class BatchReader:
    """Reads the records of one partition into attempts. Decoded records are kept until the batch is over."""

    def __init__(
        self,
        decoder: RecordDecoder,
        malformed: MalformedHandler | None,
        *,
        carries_days: bool,
        gap_timeout: float,
    ) -> None:
        self._decoder = decoder
        self._malformed = malformed
        self._carries_days = carries_days
        self._gap_timeout = gap_timeout
        self._decoded: dict[int, tuple[Envelope, Decoded] | DeadLetter] = {}

    def decode_all(self, raws: Sequence[ConsumerRecord]) -> None:
        """Decode the records that are not decoded yet. It may run in a thread."""
        for raw in raws:
            if raw.offset not in self._decoded:
                self._decoded[raw.offset] = self._decode_one(raw)

    def forget(self) -> None:
        """Drop the decoded records when the batch is over."""
        self._decoded.clear()

    def read_all(
        self,
        attempt: BatchAttempt,
        sequences: SequenceTracker,
        watermarks: Watermarks,
        now: datetime,
    ) -> None:
        """Take decoded records into the attempt, up to the watermark that ends the partition's day.

        Raises:
            Halt: a sequence gap has lasted for too long, or the clock jumped.
        """
        for raw in attempt.raws:
            attempt.consumed += 1
            if self._read(raw, attempt, sequences, watermarks, now):
                break

    def events(self, raws: Sequence[ConsumerRecord]) -> list[InboundEvent[Any]]:
        """Return the events among parked records.

        Raises:
            UnprocessableEvent: one of them still cannot be read.
        """
        events: list[InboundEvent[Any]] = []
        for raw in raws:
            decoded = self._decode_one(raw)
            read = decoded if isinstance(decoded, DeadLetter) else decoded[1]
            if isinstance(read, UnreadableEvent | DeadLetter):
                raise UnprocessableEvent(read.reason)
            if isinstance(read, InboundEvent):
                events.append(read)
        return events

    def _read(
        self,
        raw: ConsumerRecord,
        attempt: BatchAttempt,
        sequences: SequenceTracker,
        watermarks: Watermarks,
        now: datetime,
    ) -> bool:
        """Take one record into the attempt. True if it is the watermark that ends the partition's day."""
        decoded = self._decoded[raw.offset]
        if isinstance(decoded, DeadLetter):
            attempt.dead.append(decoded)
            return False
        envelope, read = decoded
        if envelope.producer_id is not None and envelope.sequence is not None:
            check = sequences.check(envelope.source, envelope.producer_id, envelope.sequence, now)
            if check is SequenceCheck.DUPLICATE:
                attempt.duplicates += 1
                return False
            if check is SequenceCheck.OUT_OF_ORDER:
                attempt.out_of_order += 1
                self._check_gap_timeout(sequences, envelope, now)
                return False
        if isinstance(read, WatermarkRecord):
            return self._carries_days and self._apply_watermark(read, attempt, watermarks)
        if isinstance(read, DeadLetter):
            attempt.dead.append(read)
        elif read is not None:
            attempt.reads.append(read)
        return False

    def _decode_one(self, raw: ConsumerRecord) -> tuple[Envelope, Decoded] | DeadLetter:
        """Decode one record. It reads nothing else, so that any failure is caused by this record."""
        try:
            envelope = self._decoder.envelope(raw)
            return envelope if isinstance(envelope, DeadLetter) else (envelope, self._decode(raw, envelope))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - an unexpected failure must stop no other record
            return DeadLetter(raw, f"{type(error).__name__} in {where(error)}")

    def _decode(self, raw: ConsumerRecord, envelope: Envelope) -> Decoded:
        """Return the decoded event; for an unreadable one, the substitute that the service makes of it, if any."""
        read = self._decoder.decode(raw, envelope)
        if isinstance(read, UnreadableEvent) and self._malformed is not None and raw.value is not None:
            event = self._malformed(envelope, raw.value if is_shallow(raw.value) else b"", read.reason)
            if event is not None:
                return InboundEvent(event, envelope, raw.topic, raw.partition, raw.offset)
        return read

    def _check_gap_timeout(self, sequences: SequenceTracker, envelope: Envelope, now: datetime) -> None:
        assert envelope.producer_id is not None
        state = sequences.seen[envelope.source, envelope.producer_id]
        if state.gap_since is not None and (now - state.gap_since).total_seconds() > self._gap_timeout:
            raise Halt(
                f"number {state.last_sequence + 1} of producer {envelope.producer_id} of {envelope.source} "
                "does not come"
            )

    def _apply_watermark(self, record: WatermarkRecord, attempt: BatchAttempt, watermarks: Watermarks) -> bool:
        event = record.event
        if isinstance(event, DayBegan):
            day: date | None = event.day
            if attempt.watermark_day is not None and (event.day - attempt.watermark_day).days > _LONGEST_CLOCK_JUMP:
                raise Halt(f"the clock jumped from {attempt.watermark_day} to {event.day}")
        elif record.envelope.producer_id is None:
            attempt.dead.append(DeadLetter(record.raw, "a watermark without a producer id"))
            return False
        else:
            day = watermarks.reached(record.envelope.source, record.envelope.producer_id, event.producers, event.day)
        if day is None or (attempt.watermark_day is not None and day <= attempt.watermark_day):
            return False
        attempt.watermark_day = day
        attempt.completes_day = True
        return True
