"""On the real broker: an unchanged file of the next half-year speaks for the children of every partition."""

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
from tests.runtime.chain import (
    FIRST_DAY,
    PARTITIONS,
    POLICE,
    SCHOOLS,
    SPACE,
    Outcome,
    Story,
    a_house,
    outcome,
    read,
    taken,
)
from tests.runtime.test_chain import assert_the_same

BORN = [date(2016, 1, 1) + timedelta(days=n) for n in range(24)]
HERE, ELSEWHERE = "341722", "341702"


def a_file(unit: str, dataset: str, period: str, rows: list[dict[str, str]]) -> Submission:
    submission = uuid5(SPACE, f"{dataset}/{period}")
    handed = tuple(
        SubmittedRow(number, uuid5(submission, str(number)), None, tuple(row.items()))
        for number, row in enumerate(rows, start=2)
    )
    return Submission(
        submission, unit, dataset, period, FIRST_DAY, "file", tuple(rows[0]), handed, None, False, "taken"
    )


def children(**more: str) -> list[dict[str, str]]:
    return [
        {"姓名": f"例小{n}", "身份证号": a_number(born), "出生日期": born.isoformat(), **more}
        for n, born in enumerate(BORN)
    ]


async def tell(story: Story, *, times: int) -> Outcome:
    """The school's file of the spring; what the police say in the autumn, of half of the children something else; the
    school's file of the autumn, in which no row has changed.
    """
    await story.begin(FIRST_DAY)
    school = children(年级="三年级", 户口所在地=HERE)
    police = [{**row, "户籍地区划": (ELSEWHERE, HERE)[n % 2]} for n, row in enumerate(children())]
    await story.hand_over(a_file(SCHOOLS, "school", "2026H1", school), times=times)
    await story.hand_over(a_file(POLICE, "hukou", "2026H2", police), times=times)
    await story.hand_over(a_file(SCHOOLS, "school", "2026H2", school), times=times)
    return await outcome(story)


def assert_every_child_is_dated(story: Story) -> None:
    records = [one for one in read(story.installation, ADMIN, [REGISTRY_CHILD.name]) if one.kind == ChildChanged.kind]
    dated = {
        one.key
        for one in taken(records)
        for fact in one.body["facts"]
        if (fact["name"], fact["period"]) == (FactName.SCHOOL_GRADE, "2026H2")
        and fact["valid_on"] == FIRST_DAY.isoformat()
    }
    assert len(dated) == len(BORN)


def assert_who_contradicts_is_reported(story: Story) -> None:
    told = [
        one.body["name"]
        for one in taken(read(story.installation, ADMIN, [REGISTRY_REVIEW.name]))
        if one.kind == FactConflictFound.kind
    ]
    assert told == [FactName.HUKOU_DIVISION] * (len(BORN) // 2)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_an_unchanged_file_speaks_for_the_children_of_every_partition(
    stack_class: type[LocalStack], tmp_path: Path
) -> None:
    """Cut differently, sent twice and with two processes of each service it ends the same."""
    assert {partition_of(born.isoformat(), PARTITIONS) for born in BORN[::2]} == set(range(PARTITIONS))
    ways = [(1000, 1, 1), (1, 1, 1), (7, 2, 2)]
    seen = []
    for size, times, processes in ways:
        cut = {"HUTONG_MAX_RECORDS": str(size), "HUTONG_BULK_BATCH_RECORDS": str(size)}
        with stack_class(tmp_path / f"stack-{size}", durable=False) as stack:
            async with a_house(stack, tmp_path / "house", cut, processes=processes) as story:
                seen.append(await tell(story, times=times))
                assert_every_child_is_dated(story)
                assert_who_contradicts_is_reported(story)
                ends = [one for one in seen[-1].tables["registry.submission_end"] if '"2026H2"' in one]
                assert len(ends) == 2 * PARTITIONS, INTAKE_RECORD.name
    for found in seen[1:]:
        assert_the_same(found, seen[0])
