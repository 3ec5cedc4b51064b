"""Maps what the registry decided to the events that it publishes."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

import orjson

from contracts.county import County
from contracts.event import Event, PreSerialized
from contracts.intake import ActionAccepted, FindingReported
from contracts.registry import (
    ChildChanged,
    FactConflictFound,
    FileReassigned,
    FindingAssigned,
    RegistryActionRefused,
    ReviewRequested,
    ReviewResolved,
)
from contracts.vocabulary import Verb
from runtime import Batch, InboundEvent, OutboundEvent
from services.registry import store
from services.registry.domain.child_file import (
    ActionRefusal,
    ChildFile,
    FactConflict,
    Outcome,
    Reassignment,
    ReviewClosed,
    ReviewOpened,
)
from services.registry.domain.child_files import ChildFiles

BY_RULE = "rule"
"""Role of a review that matching resolved: the same valid ID number appeared on both sides."""


def batch_events(
    batch: Batch[Event], child_files: ChildFiles, to_publish: dict[UUID, ChildFile], bypassing: Collection[UUID]
) -> list[OutboundEvent]:
    """Return the events of a batch: every outcome in its order, then one snapshot of each changed file."""
    emitted = [
        batch.events[n].emit(_outcome_event(batch.events[n], outcome, batch.county))
        for n, outcome in child_files.outcomes
    ]
    return emitted + [
        batch.events[child_files.touched[child]].emit(
            snapshot(file, child_files.open_reviews(child) if file.reviewed else 0),
            bypass_coalescing=child in bypassing,
        )
        for child, file in to_publish.items()
    ]


def _outcome_event(inbound: InboundEvent[Event], outcome: Outcome, county: County) -> Event:
    on = inbound.envelope.on
    match outcome:
        case ReviewOpened(review):
            return ReviewRequested(
                review=review.review,
                child=review.child,
                other=review.other,
                evidence=review.evidence,
                conflicts=review.conflicts,
                unit=county.lead_unit,
                on=on,
            )
        case ReviewClosed(review, child, other, how, by):
            return ReviewResolved(
                review=review,
                child=child,
                other=other,
                outcome=how,
                unit=county.lead_unit if by is None else by.unit,
                role=BY_RULE if by is None else by.role,
                on=on if by is None else by.on,
            )
        case Reassignment(child, origin, reason, findings, _, by):
            return FileReassigned(
                child=child, from_child=origin, reason=reason, findings=findings, on=on if by is None else by.on
            )
        case FactConflict(child, name, units):
            return FactConflictFound(child=child, name=name, units=units, on=on)
        case ActionRefusal(child, code):
            action = inbound.event
            assert isinstance(action, ActionAccepted)
            return action_refused(action, child, action.verb, code)


def action_refused(
    action: ActionAccepted | FindingReported, child: UUID | None, verb: Verb, code: str
) -> RegistryActionRefused:
    return RegistryActionRefused(
        child=child,
        restricted=action.restricted,
        unit=action.unit,
        ce_id=action.ce_id,
        verb=verb,
        code=code,
        on=action.on,
    )


class SerializedChildChanged(PreSerialized, ChildChanged):
    """A snapshot that is already serialized."""


def snapshot(file: ChildFile, reviews: int) -> ChildChanged:
    datasets, silent = file.datasets
    claims = file.resolved.claims if file.resolved is not None else ()
    content: dict[str, Any] = {
        "child": file.child,
        "number": file.number,
        "child_version": file.version,
        "state": file.state,
        "absorbed_by": file.absorbed_by,
        "absorbs": file.absorbs,
        "split_from": file.split_from,
        "facts": [
            {
                "name": claim.name,
                "value": claim.value,
                "unit": claim.unit,
                "dataset": claim.dataset,
                "period": claim.period,
                "valid_on": claim.valid_on,
                "recorded_on": claim.recorded_on,
                "chosen": chosen,
                "verified": claim.verified,
            }
            for claim, chosen in claims
        ],
        "sources": datasets,
        "silent_sources": silent,
        "open_reviews": reviews,
    }
    # asyncpg's UUID is a class of its own, which orjson does not write.
    return SerializedChildChanged.of(orjson.dumps(content, default=str), child=file.child)


def finding_assigned(event: FindingReported, place: store.CurrentFile, county: County) -> FindingAssigned:
    home = county.township(place.residence)
    return FindingAssigned(
        finding=event.finding,
        child=place.child,
        number=place.number,
        candidate=place.state == "candidate",
        findings=event.findings,
        level=event.level,
        unit=event.unit,
        place=event.place,
        role=event.role,
        township=event.township or (home.code if home is not None else None),
        residence_division=place.residence,
        on=event.on,
        recorded_at=event.recorded_at,
        phone_reported_at=event.phone_reported_at,
        ce_id=event.ce_id,
    )
