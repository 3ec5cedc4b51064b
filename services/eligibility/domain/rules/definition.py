"""The plan's definition of a migrant child, and the wider group of the statistics and the key-care ledger.

Departments' own flags (随迁子女, 流动, 留守) follow other definitions and are not used here (policy part 0.2).
"""

from datetime import timedelta

from contracts.vocabulary import Answer, Certainty, FactName
from services.eligibility.domain.answer import (
    UNCONDITIONAL,
    Evaluation,
    all_of,
    no,
    unknown,
    unless_no,
    with_one_ground,
    yes,
)
from services.eligibility.domain.case import Case, county_criterion, memoized, not_reported, younger_than
from services.eligibility.domain.dates import add_months, earliest
from services.eligibility.domain.divisions import PlaceRelation, current_county, is_outside, relate, same_township
from services.eligibility.domain.facts import Arrival

DEFINITION = ("definition",)
_GONE = frozenset({"dead", "missing", "not_found", "away"})
"""The statuses of a parent who does not live with the child."""
_STATUS_OF = {
    FactName.LIVES_WITH_FATHER: FactName.FATHER_STATUS,
    FactName.LIVES_WITH_MOTHER: FactName.MOTHER_STATUS,
}


@memoized
def alive(case: Case) -> Evaluation:
    """A child counts as alive unless a death has been reported, which ends every service."""
    died = case.facts.dates.get(FactName.DECEASED)
    if died is None:
        return UNCONDITIONAL
    if case.on >= died:
        return no("deceased", day=died.isoformat())
    return Evaluation(Answer.YES, until=died)


@memoized
def under_age_limit(case: Case) -> Evaluation:
    """The age limit of the definition: “不满十六周岁的未成年人”."""
    return younger_than(case, case.parameters.age_limit, cites=DEFINITION)


@memoized
def minor(case: Case) -> Evaluation:
    """Under 18: protection continues beyond the age limit of the list (policy part 3.17)."""
    return younger_than(case, 18, cites=("childhood",), certainty=Certainty.LAW)


@memoized
def crossed_counties(case: Case) -> Evaluation:
    """“离开户籍地，跨县域异地居住或生活”, judged by the current hukou, never by an ID number's first digits."""
    hukou = case.facts.codes.get(FactName.HUKOU_DIVISION)
    residence = case.facts.codes.get(FactName.RESIDENCE_DIVISION)
    if hukou is None or residence is None:
        return _places_not_reported(case, hukou, residence, DEFINITION)
    match relate(hukou, residence, case.parameters):
        case PlaceRelation.TWO_COUNTIES:
            return yes("crossed_counties", cites=DEFINITION, hukou=hukou[:6], residence=residence[:6])
        case PlaceRelation.SAME_COUNTY:
            return no("same_county", cites=DEFINITION, hukou=hukou[:6], residence=residence[:6])
        case PlaceRelation.DISTRICTS:
            return no(
                "districts_of_one_city",
                cites=("districts",),
                certainty=Certainty.SEEN,
                hukou=hukou[:6],
                residence=residence[:6],
            )
        case PlaceRelation.NO_HUKOU_COUNTY:
            return _no_hukou_county(case, hukou)
        case PlaceRelation.UNCLEAR:
            return _unclear_places(case, hukou, residence)


@memoized
def left_township(case: Case) -> Evaluation:
    """The child left the hukou township. The statistics include moves within the county (policy part 3.2)."""
    hukou = case.facts.codes.get(FactName.HUKOU_DIVISION)
    residence = case.facts.codes.get(FactName.RESIDENCE_DIVISION)
    cites, seen = ("statistical",), Certainty.SEEN
    if hukou is None or residence is None:
        return _places_not_reported(case, hukou, residence, cites)
    match relate(hukou, residence, case.parameters):
        case PlaceRelation.TWO_COUNTIES | PlaceRelation.DISTRICTS:
            return yes("left_township", cites=cites, certainty=seen, hukou=hukou[:9], residence=residence[:9])
        case PlaceRelation.NO_HUKOU_COUNTY:
            return _no_hukou_county(case, hukou)
        case PlaceRelation.UNCLEAR:
            return _unclear_places(case, hukou, residence)
        case PlaceRelation.SAME_COUNTY:
            same = same_township(hukou, residence, case.parameters)
            if same is None:
                missing = [
                    case.missing[name]
                    for name, code in (
                        (FactName.HUKOU_DIVISION, hukou),
                        (FactName.RESIDENCE_DIVISION, residence),
                    )
                    if code[:9] not in case.parameters.townships
                ] or [case.missing[FactName.HUKOU_DIVISION]]
                return unknown("township_unclear", missing, cites=cites, certainty=seen)
            if same:
                return no("same_township", cites=cites, certainty=seen, hukou=hukou[:9], residence=residence[:9])
            return yes("left_township", cites=cites, certainty=seen, hukou=hukou[:9], residence=residence[:9])


@memoized
def accompanied(case: Case) -> Evaluation:
    """“随父母或其他监护人双方或一方”: a parent or legal guardian lives there. A caretaker is no guardian (3.13).

    Contradictory reports, such as a parent who is dead or a child who lives alone, give UNKNOWN, so that a person
    finds out which of them is true.
    """
    facts = case.facts
    alone = facts.flags.get(FactName.LIVES_ALONE)
    with_whom = {
        FactName.LIVES_WITH_FATHER: _lives_with(case, FactName.LIVES_WITH_FATHER),
        FactName.LIVES_WITH_MOTHER: _lives_with(case, FactName.LIVES_WITH_MOTHER),
        FactName.LIVES_WITH_GUARDIAN: facts.flags.get(FactName.LIVES_WITH_GUARDIAN),
    }
    contradicted = []
    for name, lives in with_whom.items():
        if not lives:
            continue
        against = FactName.LIVES_ALONE if alone else _contradicting_status(case, name)
        if against is None:
            return yes("accompanied", cites=("accompanied",), fact=name.value)
        contradicted += [name, against]
    if contradicted:
        missing = [case.missing[name] for name in dict.fromkeys(contradicted)]
        return unknown("company_contradicted", missing, cites=("accompanied",))
    caretaker = facts.flags.get(FactName.LIVES_WITH_CARETAKER) is True
    cites = ("accompanied", "caretaker") if caretaker else ("accompanied",)
    if alone:
        return no("lives_alone", cites=cites)
    unreported = [name for name, lives in with_whom.items() if lives is None]
    if unreported:
        missing = [case.missing[name] for name in unreported]
        return unknown("caretaker_is_no_guardian" if caretaker else "accompaniment_untold", missing, cites=cites)
    return no("caretaker_is_no_guardian" if caretaker else "not_accompanied", cites=cites)


@memoized
def still_resident(case: Case) -> Evaluation:
    """The child has not left the residence. A return after a recorded end counts as a new stay."""
    ended = case.facts.dates.get(FactName.RESIDENCE_ENDED)
    if ended is None:
        return UNCONDITIONAL
    if case.on < ended:
        return Evaluation(Answer.YES, until=ended)
    back = _arrival(case)
    if back is None:
        return no("residence_ended", day=ended.isoformat())
    if case.on < back.on:
        return no("residence_ended", until=back.on, day=ended.isoformat())
    return UNCONDITIONAL


@memoized
def resident_long_enough(case: Case) -> Evaluation:
    """“居住或生活6个月以上”: six months are full on the corresponding day or the month's last (Civil Code 202)."""
    arrival = _arrival(case)
    ends = case.facts.dates.get(FactName.RESIDENCE_ENDED)
    # From the recorded end of a stay onwards, a later arrival counts.
    until = ends if ends is not None and case.on < ends else None
    if arrival is None:
        if ends is not None and case.on >= ends:
            return no("residence_ended", day=ends.isoformat())
        return Evaluation(
            Answer.UNKNOWN,
            not_reported(case, FactName.RESIDENCE_SINCE).grounds,
            (case.missing[FactName.RESIDENCE_SINCE],),
            DEFINITION,
            until=until,
        )
    since = arrival.on
    born = case.facts.dates.get(FactName.BIRTH_DATE)
    if born is not None and since < born:
        # A child's own stay begins at birth. A birth date in the future is an error and is ignored until then.
        if case.on < born:
            until = earliest(until, born)
        else:
            since = born
    full = add_months(since, case.parameters.residence_months)
    if case.on >= full:
        return yes(
            "here_long_enough", until=until, cites=DEFINITION, since=since.isoformat(), evidence=arrival.evidence
        )
    return no(
        "not_here_long_enough",
        until=earliest(full, until),
        cites=DEFINITION,
        since=since.isoformat(),
        day=full.isoformat(),
        evidence=arrival.evidence,
    )


@memoized
def not_long_away(case: Case) -> Evaluation:
    """Short absences do not interrupt the stay. A longer one than the county's limit gives UNKNOWN, not NO."""
    away = case.facts.dates.get(FactName.AWAY_SINCE)
    if away is None:
        return UNCONDITIONAL
    asked_from = away + timedelta(days=case.parameters.absence_days + 1)
    if case.on < asked_from:
        return Evaluation(Answer.YES, until=asked_from)
    return unknown(
        "long_absence",
        [case.missing[FactName.RESIDENCE_ENDED]],
        cites=("absence",),
        certainty=Certainty.INFERRED,
        since=away.isoformat(),
        days=case.parameters.absence_days,
    )


@memoized
def moved_here_with_family(case: Case) -> Evaluation:
    """The definition without its age limit, for services that follow a pupil's status past 16 (policy part 3.17)."""
    return all_of(
        alive(case),
        crossed_counties(case),
        accompanied(case),
        resident_long_enough(case),
        not_long_away(case),
    )


@memoized
def moved_here_young(case: Case) -> Evaluation:
    """The definition without an accompanying guardian, for the services that respond to the lack of one."""
    return all_of(
        alive(case),
        under_age_limit(case),
        crossed_counties(case),
        resident_long_enough(case),
        not_long_away(case),
        lives_here(case),
    )


@memoized
def migrant(case: Case) -> Evaluation:
    """The whole definition.

    “流动儿童是指随父母或其他监护人双方或一方离开户籍地，跨县域异地居住或生活6个月以上、不满十六周岁的未成年人”
    """
    return all_of(under_age_limit(case), moved_here_with_family(case))


@memoized
def statistical(case: Case) -> Evaluation:
    """统计分析对象: as above, but for leaving the hukou township. It enters the key-care ledger on request only."""
    return all_of(
        under_age_limit(case),
        alive(case),
        left_township(case),
        accompanied(case),
        resident_long_enough(case),
        not_long_away(case),
    )


@memoized
def lives_here(case: Case) -> Evaluation:
    """The list applies “在居住地”: the child must live in this county."""
    residence = case.facts.codes.get(FactName.RESIDENCE_DIVISION)
    if residence is None:
        return not_reported(case, FactName.RESIDENCE_DIVISION)
    if is_outside(residence, case.parameters):
        return no("lives_elsewhere", division=residence[:6])
    if current_county(residence, case.parameters) is None:
        return unknown("division_not_listed", [case.missing[FactName.RESIDENCE_DIVISION]], division=residence[:6])
    return still_resident(case)


@memoized
def migrant_here(case: Case) -> Evaluation:
    """A migrant child who lives in this county, the audience of most rows. One ground replaces the five."""
    return all_of(with_one_ground("migrant_child", migrant(case)), lives_here(case))


@memoized
def minor_living_here(case: Case) -> Evaluation:
    """The audience of emergency relief: “急难” requires neither hukou nor length of stay (policy part 3.11)."""
    return all_of(alive(case), minor(case), lives_here(case))


@memoized
def young_and_not_known_local(case: Case) -> Evaluation:
    """The audience of safety risks: any minor here who is not known to live in the hukou township.

    A guardian and six months of residence are not required, because lacking them is the risk (policy part 10, G8).
    """
    return all_of(alive(case), minor(case), unless_no(lives_here(case)), unless_no(left_township(case)))


def _contradicting_status(case: Case, lives: FactName) -> FactName | None:
    """Return the status fact that contradicts living with this parent; None if there is none."""
    status = _STATUS_OF.get(lives)
    return status if status is not None and case.facts.codes.get(status) in _GONE else None


def _lives_with(case: Case, lives: FactName) -> bool | None:
    reported = case.facts.flags.get(lives)
    return False if reported is None and _contradicting_status(case, lives) is not None else reported


def _arrival(case: Case) -> Arrival | None:
    """Return the earliest arrival since the last recorded end of a stay."""
    ended = case.facts.dates.get(FactName.RESIDENCE_ENDED)
    for arrival in case.facts.arrivals:
        if ended is None or case.on < ended or arrival.on >= ended:
            return arrival
    return None


def _places_not_reported(case: Case, hukou: str | None, residence: str | None, cites: tuple[str, ...]) -> Evaluation:
    names = [FactName.HUKOU_DIVISION] if hukou is None else []
    if residence is None:
        names.append(FactName.RESIDENCE_DIVISION)
    return not_reported(case, *names, cites=cites)


def _no_hukou_county(case: Case, hukou: str) -> Evaluation:
    """Papers of 港澳台 and foreign residents name no hukou county; the plan does not define how they count."""
    criterion = county_criterion(case, "no_hukou_county")
    if criterion.answer is not Answer.UNKNOWN:
        return criterion
    return unknown("no_hukou_county", criterion.missing, cites=DEFINITION, division=hukou[:6])


def _unclear_places(case: Case, hukou: str, residence: str) -> Evaluation:
    name, code = FactName.HUKOU_DIVISION, hukou
    if current_county(hukou, case.parameters) is not None and current_county(residence, case.parameters) is None:
        name, code = FactName.RESIDENCE_DIVISION, residence
    return unknown("division_not_listed", [case.missing[name]], cites=DEFINITION, division=code[:6])
