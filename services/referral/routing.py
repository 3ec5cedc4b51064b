"""What the county's settings say about routes, units and time limits, as referral needs it."""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.county import County, Route
from contracts.vocabulary import RESTRICTED_ROUTES, TOWNSHIP, FindingCode
from runtime import UnprocessableEvent
from services.referral.domain.calendar import Calendar
from services.referral.domain.duties import Cadence
from services.referral.domain.rules import Rules, TimeLimits

UNROUTED = "R32"
"""The route of findings that no other route names: the county assigns a unit (policy 4.2)."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """The unit that gets a referral, and a code for why it is not the one the route names."""

    unit: str
    cause: str | None = None


def rules_of(county: County) -> Rules:
    """Return the county's settings that referrals are decided by."""
    days = county.working_days
    return Rules(
        limits={
            level: TimeLimits(
                accept_hours=clock.accept_hours,
                accept_days=clock.accept_days,
                result_hours=clock.result_hours,
                result_days=clock.result_days,
                phone_report_hours=clock.phone_report_hours,
                escalate_unacknowledged_hours=clock.escalate_unacknowledged_hours,
                confirm_hours=clock.confirm_hours,
            )
            for level, clock in county.clocks.items()
        },
        calendar=Calendar(
            published_years=frozenset(days.published_years),
            holidays=frozenset(days.holidays),
            make_up_days=frozenset(days.make_up_days),
        ),
        lead_unit=county.lead_unit,
        duty_unit=county.duty_unit,
        coordinating_unit=county.coordinating_unit,
        max_returns=county.thresholds.max_returns,
        reopen_days=county.thresholds.reopen_days,
    )


def cadence_of(county: County) -> Cadence:
    """Return how often the county requires contacts and visits."""
    cadence = county.cadence
    return Cadence(
        contact_months=cadence.contact_months,
        visit_months=cadence.visit_months,
        first_visit_days=county.first_visit_days,
        entry_cutoff_day=cadence.entry_cutoff_day,
        contact_reminder_day=cadence.contact_reminder_day,
        visit_reminders_days=cadence.visit_reminders_days,
    )


def routes_of(county: County, findings: Iterable[FindingCode]) -> list[tuple[Route, tuple[FindingCode, ...]]]:
    """Return the routes of these findings, each with its findings, in the county's order.

    Raises:
        UnprocessableEvent: no route names one of the findings, and the county has no route ``R32`` for such findings.
    """
    by_route: dict[str, list[FindingCode]] = {}
    for code in dict.fromkeys(findings):
        for route in county.routes_for(code) or _unrouted(county, code):
            by_route.setdefault(route.id, []).append(code)
    return [(route, tuple(by_route[route.id])) for route in county.routes if route.id in by_route]


def _unrouted(county: County, code: FindingCode) -> tuple[Route, ...]:
    route = county.route(UNROUTED)
    if route is None:
        raise UnprocessableEvent(f"no route of the county names {code.value}, and it has no route {UNROUTED}")
    return (route,)


def is_restricted(county: County, route: str) -> bool:
    """Return whether a route is restricted. The policy's restricted routes are, whatever the county has set."""
    settings = county.route(route)
    return route in RESTRICTED_ROUTES or (settings is not None and settings.restricted)


def township_of(county: County, *divisions: str | None) -> str | None:
    """Return the code of the township that contains the first of these divisions that lies in the county."""
    for division in divisions:
        township = county.township(division)
        if township is not None:
            return township.code
    return None


def township_unit(county: County, township: str | None) -> str:
    """Return the unit of a township; the lead unit if the township is unknown."""
    settings = county.township(township)
    return county.lead_unit if settings is None else settings.unit


def receiver(county: County, route: str, township: str | None) -> Receiver:
    """Return the receiver of a referral on a route. The lead unit receives what no other unit can."""
    settings = county.route(route)
    if settings is None:
        return Receiver(county.lead_unit, "no_such_route")
    if settings.unit == TOWNSHIP:
        if county.township(township) is None:
            return Receiver(county.lead_unit, "township_unknown")
        return qualified_receiver(county, route, township_unit(county, township))
    return qualified_receiver(county, route, settings.unit)


def qualified_receiver(county: County, route: str, unit: str) -> Receiver:
    """Return the unit if it may receive referrals on this route; else the lead unit."""
    settings = county.sending_unit(unit)
    if settings is None:
        return Receiver(county.lead_unit, "no_such_unit")
    if is_restricted(county, route) and not settings.receives_restricted and settings.id != county.lead_unit:
        return Receiver(county.lead_unit, "no_restricted_queue")
    return Receiver(settings.id)


def has_queue(county: County, unit: str, restricted: bool) -> bool:
    """Return whether a unit has a queue topic, ordinary or restricted."""
    settings = county.unit(unit)
    return settings is not None and ("restricted_agency" if restricted else "agency") in settings.families


def units_to_inform(county: County, route: str, township: str | None) -> tuple[str, ...]:
    """Return the units to inform of a referral on a route, which get no referral of their own."""
    settings = county.route(route)
    if settings is None:
        return ()
    units = (township_unit(county, township) if unit == TOWNSHIP else unit for unit in settings.inform)
    return tuple(dict.fromkeys(units))


def may_send_directly(county: County, unit: str, place: str | None) -> bool:
    """Return whether a unit's people have the duty to report and so send referrals directly. Unknown units do."""
    settings = (county.unit(place) if place is not None else None) or county.unit(unit)
    return settings is None or settings.mandatory_reporter
