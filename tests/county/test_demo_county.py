"""The policy's requirements of a county, checked on the demo county."""

import re

from contracts.county import County, CountyActivated
from contracts.vocabulary import RESTRICTED_ROUTES, FactName, FindingCode, Level, TextStatus
from tests.county import FOLDER, a_county


def test_a_county_survives_a_round_trip_through_its_event() -> None:
    event = CountyActivated(county=a_county(), active_from=a_county().policy_effective_from, activated_by="341722-mzj")
    text = event.model_dump_json()
    assert len(text.encode()) < 900_000
    assert CountyActivated.model_validate_json(text) == event


def test_all_rows_of_the_list_exist_and_the_last_is_marked_as_reconstructed() -> None:
    county = a_county()
    rows = [item for item in county.catalogue if "(" not in item.id]
    assert [row.id for row in rows] == [f"B-{number}" for number in range(1, 22)]
    assert [row.id for row in rows if row.text_status is TextStatus.RECONSTRUCTED] == ["B-21"]
    assert {item.id.split("(")[0] for item in county.catalogue if item.sealed} == {"B-9"}


def test_all_routes_of_the_policy_exist_with_their_restrictions() -> None:
    county = a_county()
    routes = {route.id: route for route in county.routes}
    assert {f"R{number}" for number in range(1, 34)} <= set(routes)
    assert {route for route in routes if routes[route].restricted} == RESTRICTED_ROUTES | {"R34"}


def test_every_finding_has_exactly_one_route() -> None:
    county = a_county()
    assert {code: len(county.routes_for(code)) for code in FindingCode} == dict.fromkeys(FindingCode, 1)


def test_housing_receives_nothing_about_the_child() -> None:
    route = a_county().routes_for(FindingCode.HOUSING_DIFFICULTY)[0]
    assert set(route.whitelist) == {"guardian_name", "guardian_phone", "address", "household_size"}


def test_the_reporter_is_on_no_whitelist() -> None:
    assert all("reporter" not in route.whitelist for route in a_county().routes)


def test_police_mental_health_guardianship_and_urgent_findings_are_confirmed_first() -> None:
    for route in a_county().routes:
        if route.restricted or route.level in (Level.L0, Level.L1):
            assert route.confirm_derived, route.id


def test_old_codes_of_the_county_resolve_to_the_current_one() -> None:
    county = a_county()
    for code, heir in {
        "342922": "341722",
        "342831": "341722",
        "342728": "341722",
        "341402": "340181",
        "341422": "340281",
    }.items():
        division = county.division(code)
        assert division is not None
        assert division.successor == heir


def test_a_township_is_responsible_for_the_industrial_park() -> None:
    county = a_county()
    park = county.township("341722401001")
    assert park is not None
    assert park.unit in {township.unit for township in county.townships if township.code != park.code}


def test_every_fact_can_be_requested_from_a_unit() -> None:
    assert set(a_county().holders) == set(FactName)


def test_invented_criteria_are_marked_as_invented() -> None:
    county: County = a_county()
    assert county.criteria
    assert all(criterion.invented for criterion in county.criteria)


def test_every_criterion_is_used_by_a_rule() -> None:
    """A misspelt term would go unnoticed: its rule would keep answering unknown."""
    rules = FOLDER.parents[2] / "services" / "eligibility" / "domain" / "rules"
    source = "".join(file.read_text("utf-8") for file in rules.glob("*.py"))
    assert {criterion.term for criterion in a_county().criteria} <= set(
        re.findall(r'county_criterion\(case, "(\w+)"', source)
    )


def test_demo_people_are_recognisably_invented() -> None:
    people = [person for unit in a_county().units for person in unit.people]
    assert people
    assert all(person.name.startswith("演示") for person in people)
