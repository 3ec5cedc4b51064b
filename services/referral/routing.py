"""What the county's data says of routes, units and clocks, as referral decides by it."""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.county import County, Route
from contracts.vocabulary import RESTRICTED_ROUTES, FindingCode
from runtime import UnprocessableEvent
from services.referral.domain.calendar import Calendar
from services.referral.domain.duties import Cadence
from services.referral.domain.rules import Pace, Rules

TOWNSHIP = "township"
"""As a unit of a route: the unit of the child's township."""
UNROUTED = "R32"
"""Where a finding goes that no route of the county names: somebody must assign a lead (policy 4.2)."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """The unit that gets a referral, and why it is not the one the route names."""

    unit: str
    because: str | None = None


def rules_of(county: County) -> Rules:
    days = county.working_days
    return Rules(
        paces={
            level: Pace(
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
    cadence = county.cadence
    return Cadence(
        contact_months=cadence.contact_months,
        visit_months=cadence.visit_months,
        first_visit_days=county.first_visit_days,
        entry_cutoff_day=cadence.entry_cutoff_day,
        contact_reminder_day=cadence.contact_reminder_day,
        visit_reminders_days=cadence.visit_reminders_days,
    )


def routed(county: County, findings: Iterable[FindingCode]) -> list[tuple[Route, tuple[FindingCode, ...]]]:
    """The routes that these findings take, each with the findings that take it, in the county's order.

    Raises:
        Unprocessable: no route names one of them, and the county has no route for what nobody has been named for.
    """
    wanted = tuple(dict.fromkeys(findings))
    taken: dict[str, list[FindingCode]] = {}
    for code in wanted:
        for route in county.routes_for(code) or _unrouted(county, code):
            taken.setdefault(route.id, []).append(code)
    return [(route, tuple(taken[route.id])) for route in county.routes if route.id in taken]


def _unrouted(county: County, code: FindingCode) -> tuple[Route, ...]:
    route = county.route(UNROUTED)
    if route is None:
        raise UnprocessableEvent(f"no route of the county names {code.value}, and it has no route {UNROUTED}")
    return (route,)


def is_restricted(county: County, route: str) -> bool:
    """What the policy restricts stays so, whatever the county's folder says."""
    found = county.route(route)
    return route in RESTRICTED_ROUTES or (found is not None and found.restricted)


def township_of(county: County, *divisions: str | None) -> str | None:
    """The first of these divisions that lies in one of the county's townships, as the township's code."""
    for division in divisions:
        township = county.township(division)
        if township is not None:
            return township.code
    return None


def township_unit(county: County, township: str | None) -> str:
    """The unit of a township; the lead unit where the township is not known."""
    found = county.township(township)
    return county.lead_unit if found is None else found.unit


def receiver(county: County, route: str, township: str | None) -> Receiver:
    """Who gets a referral on a route. Nothing is lost: what has no other taker goes to the lead unit."""
    found = county.route(route)
    if found is None:
        return Receiver(county.lead_unit, "no_such_route")
    if found.unit == TOWNSHIP:
        if county.township(township) is None:
            return Receiver(county.lead_unit, "township_unknown")
        return fit(county, route, township_unit(county, township))
    return fit(county, route, found.unit)


def fit(county: County, route: str, unit: str) -> Receiver:
    """The unit itself, if it may have referrals on this route; else the lead unit."""
    speaker = county.sending_unit(unit)
    if speaker is None:
        return Receiver(county.lead_unit, "no_such_unit")
    if is_restricted(county, route) and not speaker.receives_restricted and speaker.id != county.lead_unit:
        return Receiver(county.lead_unit, "no_restricted_queue")
    return Receiver(speaker.id)


def has_queue(county: County, unit: str, restricted: bool) -> bool:
    speaker = county.unit(unit)
    return speaker is not None and ("restricted_agency" if restricted else "agency") in speaker.families


def informed(county: County, route: str, township: str | None) -> tuple[str, ...]:
    """Who is told, without a referral of their own."""
    found = county.route(route)
    if found is None:
        return ()
    units = (township_unit(county, township) if unit == TOWNSHIP else unit for unit in found.inform)
    return tuple(dict.fromkeys(units))


def sends_at_once(county: County, unit: str, place: str | None) -> bool:
    """Whether these people have the duty to report. Nobody is held up for being unknown."""
    speaker = (county.unit(place) if place is not None else None) or county.unit(unit)
    return speaker is None or speaker.reports_at_once
