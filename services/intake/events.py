"""Maps what intake decided to published events, stamped with the county's time, small enough, and without names."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import orjson

from contracts.event import Event
from contracts.intake import (
    Action,
    ActionAccepted,
    ActionAnswered,
    Cell,
    FactValue,
    FindingReported,
    RecordRead,
    RowsAnswered,
    SubmissionAnswered,
)
from contracts.intake import Problem as PublishedProblem
from contracts.vocabulary import COUNTY_TIME, FactName, Verb
from runtime import InboundEvent, OutboundEvent
from services.intake.domain.action import Account, Refusal, station_name
from services.intake.domain.problem import Problem
from services.intake.domain.row import ReadRow
from services.intake.domain.submission import Outcome, Submission

FINDING_DATASET = "finding"
"""The dataset of identities that came with a person's finding."""
_MAX_PROBLEM_BYTES = 400_000
"""The problems of one receipt stay below this size, so that the event stays below 500 kB."""
_MAX_COLUMN_LENGTH = 200


# ---------------------------------------------------------------- records


def record_read(
    inbound: InboundEvent[Any],
    now: datetime | None,
    row: ReadRow,
    *,
    record: UUID,
    unit: str,
    dataset: str,
    file: Submission | None,
    identity: str,
    content_hash: bytes,
) -> OutboundEvent:
    """Map a row that changed. ``identity``: sealed for the registry."""
    at, on = recorded_time(inbound, now)
    valid_on = inbound.event.valid_on or (file.valid_on if file is not None else on)
    event = RecordRead(
        record=record,
        unit=unit,
        dataset=dataset,
        period=file.period if file is not None else None,
        submission=file.id if file is not None else None,
        valid_on=min(valid_on, on),
        recorded_at=at,
        birth_date=iso(row.birth_date),
        identity=identity,
        facts=facts_of(row),
        content=content_hash.hex(),
        flags=row.flags,
    )
    return emit(inbound, event, at, file.id if file is not None else None)


# ---------------------------------------------------------------- receipts of rows and files


@dataclass(slots=True)
class RowCounts:
    """Rows of a receipt by outcome. The last four add up to the first."""

    read: int = 0
    accepted: int = 0
    accepted_with_drops: int = 0
    refused: int = 0
    unchanged: int = 0


def rows_answered(
    unit: str, submission: UUID | None, counts: RowCounts, problems: Sequence[Problem], answers: Sequence[UUID]
) -> Iterator[RowsAnswered]:
    """Yield one receipt, or several if the problems are many; the first carries counts and answers."""
    for index, part in enumerate(split_by_size(published_problems(problems))):
        carried = counts if index == 0 else RowCounts()
        yield RowsAnswered(
            unit=unit,
            submission=submission,
            read=carried.read,
            accepted=carried.accepted,
            accepted_with_drops=carried.accepted_with_drops,
            refused=carried.refused,
            unchanged=carried.unchanged,
            problems=part,
            answers=tuple(answers) if index == 0 else (),
        )


def submission_answered(
    unit: str,
    submission: UUID,
    dataset: str,
    period: str,
    outcome: Outcome,
    counts: RowCounts,
    problems: Sequence[Problem],
    *,
    disappeared: int = 0,
    late: bool = False,
) -> SubmissionAnswered:
    """Return the receipt of a whole file."""
    return SubmissionAnswered(
        unit=unit,
        submission=submission,
        dataset=dataset,
        period=period,
        outcome=outcome,
        rows=counts.read,
        accepted=counts.accepted,
        accepted_with_drops=counts.accepted_with_drops,
        refused=counts.refused,
        unchanged=counts.unchanged,
        disappeared=disappeared,
        late=late,
        problems=published_problems(problems),
    )


def published_problems(problems: Iterable[Problem]) -> tuple[PublishedProblem, ...]:
    """Map problems to the form they have on a receipt."""
    return tuple(
        PublishedProblem(
            row=problem.row,
            column=None if problem.column is None else problem.column[:_MAX_COLUMN_LENGTH],
            code=problem.code,
            message=problem.message,
            remedy=problem.remedy,
            excerpt=problem.excerpt,
            refused=problem.refused,
        )
        for problem in problems
    )


def split_by_size(problems: Sequence[PublishedProblem]) -> Iterator[tuple[PublishedProblem, ...]]:
    """Yield parts that are each small enough for one event; at least one, which may be empty."""
    part: list[PublishedProblem] = []
    size = 0
    for problem in problems:
        texts = problem.message + problem.remedy + problem.excerpt + (problem.column or "")
        weight = 150 + 3 * len(texts)
        if part and size + weight > _MAX_PROBLEM_BYTES:
            yield tuple(part)
            part, size = [], 0
        part.append(problem)
        size += weight
    yield tuple(part)


# ---------------------------------------------------------------- actions


def action_accepted(
    event: Action, account: Account, unit_names: Collection[str], ce_id: UUID, at: datetime, on: date
) -> ActionAccepted:
    """Map an action other than a report. ``unit_names``: the offices that a call may be recorded to."""
    return ActionAccepted(
        verb=event.verb,
        unit=account.unit,
        restricted=account.restricted,
        place=event.place,
        role=event.role,
        person=event.person,
        on=event.on or on,
        recorded_at=at,
        ce_id=ce_id,
        child=event.child,
        referral=event.referral,
        finding=event.finding,
        proposal=event.proposal,
        station=station_name(event.station, unit_names),
        at=in_county_time(event.at),
        reached=event.reached,
        mode=event.mode,
        at_residence=event.at_residence,
        reason=event.reason,
        to_unit=event.to_unit,
        days=event.days,
        result=event.result,
        channel=event.channel,
        outcome=event.outcome,
        noted=bool(event.note.strip()),
        facts=event.facts,
        findings=event.findings,
        other=event.other,
        records=event.records,
    )


def action_answered(
    inbound: InboundEvent[Any],
    at: datetime,
    account: Account,
    verb: Verb | None,
    outcome: str,
    remark: Refusal | None = None,
    finding: UUID | None = None,
) -> OutboundEvent:
    """Map the receipt of an action; the second log-in's receipts are restricted."""
    answer = ActionAnswered.model_validate(
        {
            "unit": account.unit,
            "restricted": account.restricted,
            "ce_id": inbound.envelope.id,
            "verb": verb,
            "outcome": outcome,
            "finding": finding,
            "code": remark.code if remark is not None else "",
            "message": remark.message if remark is not None else "",
            "remedy": remark.remedy if remark is not None else "",
        }
    )
    outbound = emit(inbound, answer, at)
    return replace(outbound, sensitivity="restricted") if account.restricted else outbound


def finding_reported(
    event: Action,
    account: Account,
    *,
    finding: UUID,
    ce_id: UUID,
    township: str | None,
    on: date,
    at: datetime,
    has_identity: bool,
    identity: str,
) -> FindingReported:
    """Map a report. ``identity``: sealed for the registry."""
    return FindingReported(
        finding=finding,
        unit=account.unit,
        restricted=account.restricted,
        place=event.place,
        role=event.role,
        child=event.child,
        findings=event.findings,
        level=event.level,
        township=township,
        on=on,
        recorded_at=at,
        has_identity=has_identity,
        identity=identity,
        phone_reported_at=in_county_time(event.at),
        ce_id=ce_id,
    )


def finding_record(
    row: ReadRow,
    *,
    record: UUID,
    unit: str,
    finding: UUID,
    on: date,
    at: datetime,
    identity: str,
    facts: dict[FactName, FactValue],
    content_hash: bytes,
) -> RecordRead:
    """Map the identity that came with a report. ``identity``: sealed for the registry."""
    return RecordRead(
        record=record,
        unit=unit,
        dataset=FINDING_DATASET,
        period=None,
        submission=None,
        valid_on=on,
        recorded_at=at,
        birth_date=iso(row.birth_date),
        finding=finding,
        identity=identity,
        facts=facts,
        content=content_hash.hex(),
        flags=row.flags,
    )


# ---------------------------------------------------------------- envelopes


def emit(inbound: InboundEvent[Any], event: Event, at: datetime, correlation: UUID | None = None) -> OutboundEvent:
    """Return what an inbound event causes; time and county are not taken from what the unit wrote."""
    cause = inbound.envelope
    return OutboundEvent(
        event, cause.id, correlation or cause.correlation, at, _county_of(inbound.topic), event.sensitivity
    )


@lru_cache
def _county_of(topic: str) -> str:
    """Return the county of the unit that a topic belongs to, such as ``action.341722-jtj.v1``."""
    return topic.split(".")[1].partition("-")[0]


# ---------------------------------------------------------------- times and values


def recorded_time(inbound: InboundEvent[Any], now: datetime | None) -> tuple[datetime, date]:
    """Return when the county received an event, and the county's day then.

    The county's clock decides; the record's own time is used before the clock's first event.
    """
    at = now or inbound.envelope.time
    return at, _day_of(at)


@lru_cache(maxsize=64)
def _day_of(at: datetime) -> date:
    """Return the county's day; at either end of the calendar the sender's own day."""
    try:
        return at.astimezone(COUNTY_TIME).date()
    except OverflowError:
        return at.date()


def in_county_time(at: datetime | None) -> datetime | None:
    """Read a moment without an offset in the county's time."""
    return at.replace(tzinfo=COUNTY_TIME) if at is not None and at.tzinfo is None else at


def county_day(at: datetime | None) -> date | None:
    """Return the county's day at a moment."""
    moment = in_county_time(at)
    return None if moment is None else _day_of(moment)


def iso(day: date | None) -> str | None:
    """Write a birth date as the contracts do."""
    return None if day is None else day.isoformat()


def facts_of(row: ReadRow) -> dict[FactName, FactValue]:
    """Return a row's facts; their names are those of ``FactName``."""
    return cast("dict[FactName, FactValue]", row.facts)


def canonical_json(content: object) -> bytes:
    """Serialize equal content to equal bytes."""
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def canonical_cells(cells: Mapping[str, Cell]) -> bytes | None:
    """Serialize raw cells; None if a number in them is too large, for which the cell will be rejected by name."""
    try:
        return canonical_json(cells)
    except orjson.JSONEncodeError:
        return None
