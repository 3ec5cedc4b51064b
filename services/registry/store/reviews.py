"""Clerical reviews, and what persons decided about files."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from uuid import UUID

from runtime import Record, Tx, columns
from services.registry.domain.child_file import Review
from services.registry.domain.matching import CannotLink
from services.registry.store.arrays import text_array

CANNOT_LINKS = """
    SELECT group_a, group_b FROM cannot_link WHERE group_a = ANY($1::uuid[]) OR group_b = ANY($1::uuid[])
"""

INSERT_CANNOT_LINKS = """
    INSERT INTO cannot_link (group_a, group_b)
    SELECT * FROM unnest($1::uuid[], $2::uuid[])
        ON CONFLICT DO NOTHING
"""

REVIEWS_OF = """
    SELECT review_id, child_id, other_id, evidence, conflicts, state, requested_for
      FROM review
     WHERE child_id = ANY($1::uuid[]) OR other_id = ANY($1::uuid[])
"""

REVIEWS = """
    SELECT review_id, child_id, other_id, evidence, conflicts, state, requested_for, unit
      FROM review
     WHERE review_id = ANY($1::uuid[])
"""

SAVE_REVIEWS = """
    INSERT INTO review (review_id, child_id, other_id, evidence, conflicts, state, requested_for, requested_on, unit)
    SELECT review_id, child_id, other_id, evidence::text[], conflicts::text[], state, requested_for::uuid[],
           requested_on, $9
      FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::date[])
           AS new (review_id, child_id, other_id, evidence, conflicts, state, requested_for, requested_on)
        ON CONFLICT (review_id)
        DO UPDATE SET child_id = excluded.child_id, other_id = excluded.other_id, evidence = excluded.evidence,
                      state = excluded.state, requested_for = excluded.requested_for
"""

SAVE_RESOLUTION = """
    UPDATE review
       SET resolved_on = new.done_on, resolved_unit = new.unit, resolved_role = new.role
      FROM unnest($1::uuid[], $2::date[], $3::text[], $4::text[]) AS new (review_id, done_on, unit, role)
     WHERE review.review_id = new.review_id
"""

SAVE_REASSIGNMENT = """
    INSERT INTO reassignment (event_id, child_id, from_child_id, reason, records, done_on, unit, role)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (event_id, child_id, from_child_id)
        DO UPDATE SET records = reassignment.records || excluded.records
"""

SAVE_VERIFICATION = """
    INSERT INTO verification (event_id, child_id, unit, role, person, done_on, outcome)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (event_id) DO NOTHING
"""


async def cannot_links(tx: Tx, groups: Collection[UUID]) -> set[CannotLink]:
    if not groups:
        return set()
    return {frozenset((row["group_a"], row["group_b"])) for row in await tx.fetch(CANNOT_LINKS, list(groups))}


async def insert_cannot_links(tx: Tx, pairs: Collection[CannotLink]) -> None:
    if pairs:
        ordered = sorted(tuple(sorted(pair, key=lambda group: group.bytes)) for pair in pairs)
        await tx.execute(INSERT_CANNOT_LINKS, [pair[0] for pair in ordered], [pair[1] for pair in ordered])


async def reviews_of(tx: Tx, children: Collection[UUID]) -> dict[UUID, Review]:
    if not children:
        return {}
    return {row["review_id"]: _review(row) for row in await tx.fetch(REVIEWS_OF, list(children))}


async def reviews(tx: Tx, ids: Collection[UUID]) -> dict[UUID, tuple[Review, str]]:
    """Return reviews by id, each with the unit that decides."""
    if not ids:
        return {}
    return {row["review_id"]: (_review(row), row["unit"]) for row in await tx.fetch(REVIEWS, list(ids))}


async def save_reviews(tx: Tx, dated_reviews: Sequence[tuple[Review, date]], unit: str) -> None:
    """Store new reviews, which ``unit`` decides, with the day of the request, and changes of old ones."""
    if dated_reviews:
        reviews = [review for review, _ in dated_reviews]
        await tx.execute(
            SAVE_REVIEWS,
            [review.review for review in reviews],
            [review.child for review in reviews],
            [review.other for review in reviews],
            [text_array(review.evidence) for review in reviews],
            [text_array(review.conflicts) for review in reviews],
            [review.state for review in reviews],
            [text_array(map(str, review.requested_for)) for review in reviews],
            [day for _, day in dated_reviews],
            unit,
        )


async def save_resolutions(tx: Tx, answers: Mapping[UUID, tuple[date, str, str]]) -> None:
    """Store for each review (day, unit, role) of its resolution."""
    if answers:
        rows = ((review, *answer) for review, answer in answers.items())
        await tx.execute(SAVE_RESOLUTION, *columns(rows))


async def save_reassignments(tx: Tx, rows: Sequence[tuple[object, ...]]) -> None:
    """Store rows of (event, child, from child, reason, records, day, unit, role)."""
    if rows:
        await tx.executemany(SAVE_REASSIGNMENT, rows)


async def save_verifications(tx: Tx, rows: Sequence[tuple[object, ...]]) -> None:
    """Store rows of (event, child, unit, role, person, day, outcome)."""
    if rows:
        await tx.executemany(SAVE_VERIFICATION, rows)


def _review(row: Record) -> Review:
    return Review(
        row["review_id"],
        row["child_id"],
        row["other_id"],
        tuple(row["evidence"]),
        tuple(row["conflicts"]),
        row["state"],
        tuple(row["requested_for"]),
    )
