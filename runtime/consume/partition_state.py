"""Stores a partition's state with its cursor: producers' numbers and watermarks, parked events, dead letters."""

from datetime import date

from runtime.consume import parking
from runtime.consume.attempt import BatchAttempt, PartitionState
from runtime.consume.sequence import SequenceState, SequenceTracker
from runtime.consume.watermarks import Watermarks
from runtime.storage import sql
from runtime.storage.database import Session
from runtime.storage.parking_cipher import ParkingCipher


async def load_state(
    session: Session, consumer: str, topic: str, partition: int, next_offset: int, *, carries_days: bool
) -> PartitionState:
    """Load the numbers and watermarks of a partition's producers, as of the cursor at ``next_offset``."""
    place = (consumer, topic, partition)
    seen = {
        (row["source"], row["producer_id"]): SequenceState(row["last_seq"], row["gap_since"])
        for row in await session.fetch(sql.SEQUENCES, *place)
    }
    watermarks: dict[tuple[str, int], tuple[int, date]] = {}
    if carries_days:
        rows = await session.fetch(sql.WATERMARKS, *place)
        watermarks = {(row["source"], row["producer_id"]): (row["producers"], row["day"]) for row in rows}
    return PartitionState(next_offset, seen, watermarks)


async def save_attempt(
    session: Session,
    cipher: ParkingCipher,
    place: tuple[str, str, int],
    attempt: BatchAttempt,
    sequences: SequenceTracker,
    watermarks: Watermarks,
) -> None:
    """Write the attempt's parked events and dead letters, and the producers' changed numbers and watermarks.

    ``place``: consumer, topic, partition.
    """
    if attempt.parked.queued:
        await parking.save_parked(session, cipher, *place, attempt.parked)
    if attempt.dead:
        await parking.save_dead_letters(session, cipher, *place, attempt.dead)
    if sequences.changed:
        await _save_sequences(session, place, sequences)
    if watermarks.changed:
        await _save_watermarks(session, place, watermarks)


async def _save_sequences(session: Session, place: tuple[str, str, int], sequences: SequenceTracker) -> None:
    keys = sorted(sequences.changed)
    states = [sequences.seen[key] for key in keys]
    await session.execute(
        sql.SAVE_SEQUENCES,
        *place,
        [source for source, _ in keys],
        [producer_id for _, producer_id in keys],
        [state.last_sequence for state in states],
        [state.gap_since for state in states],
    )


async def _save_watermarks(session: Session, place: tuple[str, str, int], watermarks: Watermarks) -> None:
    keys = sorted(watermarks.changed)
    await session.execute(
        sql.SAVE_WATERMARKS,
        *place,
        [source for source, _ in keys],
        [producer_id for _, producer_id in keys],
        [watermarks.by_producer[key][0] for key in keys],
        [watermarks.by_producer[key][1] for key in keys],
    )
