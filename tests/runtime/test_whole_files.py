"""On the real broker, an unchanged file of the next half-year confirms the facts of children on every partition."""

from datetime import date, timedelta
from pathlib import Path
from uuid import uuid5

import pytest

from contracts.registry import ChildChanged, FactConflictFound
from contracts.topics import INTAKE_RECORD, REGISTRY_CHILD, REGISTRY_REVIEW
from contracts.vocabulary import FactName
from demo.data.submissions import Submission, SubmittedRow
from deploy.embedded.stack import LocalStack
from deploy.installation import ADMIN
from runtime import partition_of
from tests.registry.people import a_number
from tests.runtime.end_to_end import (
    FIRST_DAY,
    NAMESPACE,
    PARTITIONS,
    POLICE,
    SCHOOLS,
    Outcome,
    Scenario,
    a_system,
    assert_same_outcome,
    consumed,
    outcome,
    read,
)

BORN = [date(2016, 1, 1) + timedelta(days=n) for n in range(24)]
HERE, ELSEWHERE = "341722", "341702"


def a_file(unit: str, dataset: str, period: str, rows: list[dict[str, str]]) -> Submission:
    submission = uuid5(NAMESPACE, f"{dataset}/{period}")
    rows_submitted = tuple(
        SubmittedRow(number, uuid5(submission, str(number)), None, tuple(row.items()))
        for number, row in enumerate(rows, start=2)
    )
    return Submission(
        submission, unit, dataset, period, FIRST_DAY, "file", tuple(rows[0]), rows_submitted, None, False, "taken"
    )


def children(**more: str) -> list[dict[str, str]]:
    return [
        {"姓名": f"例小{n}", "身份证号": a_number(born), "出生日期": born.isoformat(), **more}
        for n, born in enumerate(BORN)
    ]


async def run_scenario(scenario: Scenario, *, times: int) -> Outcome:
    """Submit the school's spring file, the police's autumn file and the school's autumn file, which is unchanged.

    The police's file differs from the school's for half of the children.
    """
    await scenario.begin_day(FIRST_DAY)
    school = children(年级="三年级", 户口所在地=HERE)
    police = [{**row, "户籍地区划": (ELSEWHERE, HERE)[n % 2]} for n, row in enumerate(children())]
    await scenario.submit(a_file(SCHOOLS, "school", "2026H1", school), times=times)
    await scenario.submit(a_file(POLICE, "hukou", "2026H2", police), times=times)
    await scenario.submit(a_file(SCHOOLS, "school", "2026H2", school), times=times)
    return await outcome(scenario)


def assert_every_child_is_dated(scenario: Scenario) -> None:
    records = [
        record
        for record in read(scenario.installation, ADMIN, [REGISTRY_CHILD.name])
        if record.kind == ChildChanged.kind
    ]
    dated = {
        record.key
        for record in consumed(records)
        for fact in record.body["facts"]
        if (fact["name"], fact["period"]) == (FactName.SCHOOL_GRADE, "2026H2")
        and fact["valid_on"] == FIRST_DAY.isoformat()
    }
    assert len(dated) == len(BORN)


def assert_conflicts_are_reported(scenario: Scenario) -> None:
    conflicting_facts = [
        record.body["name"]
        for record in consumed(read(scenario.installation, ADMIN, [REGISTRY_REVIEW.name]))
        if record.kind == FactConflictFound.kind
    ]
    assert conflicting_facts == [FactName.HUKOU_DIVISION] * (len(BORN) // 2)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_an_unchanged_file_confirms_the_facts_of_children_on_every_partition(
    stack_class: type[LocalStack], tmp_path: Path
) -> None:
    """The outcome does not depend on batch sizes, on duplicates or on the number of processes."""
    assert {partition_of(born.isoformat(), PARTITIONS) for born in BORN[::2]} == set(range(PARTITIONS))
    variants = [(1000, 1, 1), (1, 1, 1), (7, 2, 2)]
    outcomes = []
    for size, times, processes in variants:
        batch_sizes = {"HUTONG_MAX_RECORDS": str(size), "HUTONG_BULK_BATCH_RECORDS": str(size)}
        with stack_class(tmp_path / f"stack-{size}", durable=False) as stack:
            async with a_system(stack, tmp_path / "installation", batch_sizes, processes=processes) as scenario:
                outcomes.append(await run_scenario(scenario, times=times))
                assert_every_child_is_dated(scenario)
                assert_conflicts_are_reported(scenario)
                ends = [end for end in outcomes[-1].tables["registry.submission_end"] if '"2026H2"' in end]
                assert len(ends) == 2 * PARTITIONS, INTAKE_RECORD.name
    for other in outcomes[1:]:
        assert_same_outcome(other, outcomes[0])
