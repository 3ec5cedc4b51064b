"""The golden path: what Hutong does for one child, from a row in a school's workbook to a file that is hers alone.

Five real services run on a real Kafka and PostgreSQL. The chapters are told in order, through the doors that people
and agencies have: workbooks by ``hutong submit``, actions by ``hutong act``, what comes back by ``hutong queue``,
``inbox``, ``ledger`` and ``trace``, and an agency's own Kafka client. Days pass because the county's clock says so.

Xiaoyu is eleven. Her household is registered in another county; she lives in the town of Renli with her mother.

Later chapters will tell of a child who is missing from a list and is looked for, of the page that a township prints,
of contact by telephone with that page in hand, of two agencies that work on one matter, and of help that has arrived.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import pytest

from demo.checks import privacy
from deploy.embedded.stack import LocalStack
from tests.registry.people import a_number
from tests.story.harness import RunningCounty, running_county

pytestmark = pytest.mark.timeout(300)

SEPTEMBER_29, SEPTEMBER_30, OCTOBER_1 = date(2026, 9, 29), date(2026, 9, 30), date(2026, 10, 1)

NAME, BORN = "测小雨", date(2015, 5, 12)
NUMBER = a_number(BORN, 2)
MOTHER, TELEPHONE = "测妈妈", "19900000001"
XIAOYU = {
    "姓名": NAME, "身份证号": NUMBER, "性别": "女", "出生日期": BORN, "监护人姓名": MOTHER, "监护人电话": TELEPHONE
}  # fmt: skip
RENLI = "341722100"

TEACHER, SCHOOLS = ("示例小学", "teacher"), ("教体局", "agency_officer")
DISABLED, DISABLED_ID = ("残联", "agency_officer"), "341722-cl"
DOCTOR = ("示例医院", "doctor")
INSURANCE_ID = "341722-rsj"
TOWNSHIP, CHILD_DIRECTOR = ("仁里镇", "township_civil_affairs"), ("仁里镇", "child_director")
CIVIL_AFFAIRS = ("民政局", "county_civil_affairs")


@pytest.fixture(scope="module")
def county(stack_class: type[LocalStack], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCounty]:
    """The county on servers of its own: on the session's, other tests have left users and events."""
    folder = tmp_path_factory.mktemp("story")
    with (
        stack_class(folder / "stack", durable=False) as stack,
        running_county(stack, folder, SEPTEMBER_29) as running,
    ):
        yield running


@dataclass(slots=True)
class Notes:
    """What people have written down in earlier chapters."""

    finding: str = ""
    child: str = ""
    referral: str = ""
    other_finding: str = ""
    other_child: str = ""
    other_referral: str = ""
    question: str = ""


@pytest.fixture(scope="module")
def notes() -> Notes:
    return Notes()


# ---------------------------------------------------------------- one child, one file


def test_the_school_and_the_police_each_submit_a_workbook(county: RunningCounty) -> None:
    """Each gets a receipt for its one row."""
    by_school = XIAOYU | {"学校名称": "示例小学", "年级": "五年级", "学籍状态": "在读"}
    by_police = XIAOYU | {
        "户籍地区划": "341702", "居住地区划": RENLI, "居住详址": "仁里镇虚构村1号", "来本地日期": date(2024, 2, 20),
        "与父亲同住": "否", "与母亲同住": "是", "是否持有居住证": "是",
    }  # fmt: skip

    for unit, dataset, row in (("教体局", "school", by_school), ("公安局", "residence", by_police)):
        assert county.taken(county.submit(unit, dataset, row)) == 1


def test_a_teacher_reports_what_she_sees(county: RunningCounty, notes: Notes) -> None:
    """A report names the child as the teacher knows her, and what was found as a code."""
    receipt = county.act(
        "report", *TEACHER, finding="disability_unserved", level="L2", township=RENLI,
        identity=[f"name={NAME}", f"id_number={NUMBER}"], note="虚构内容：需要康复评估。",
    )  # fmt: skip

    notes.finding = county.finding(receipt)


def test_all_three_speak_of_one_migrant_child(county: RunningCounty, notes: Notes) -> None:
    """The trace of the report tells her one file, its sources, and what follows from them together."""
    story = county.see("trace", notes.finding)

    [sources] = re.findall(r"来源：(.+)", story)
    assert {"在校在园儿童信息", "流动人口居住登记信息"} <= set(sources.split("、"))
    assert "是不是流动儿童：是" in story


# ---------------------------------------------------------------- one matter, until it is done


def test_the_agency_has_it_in_its_queue(county: RunningCounty, notes: Notes) -> None:
    [(notes.referral, matter)] = county.agency(DISABLED_ID).table.items()
    notes.child = matter.entry["child"]

    assert (matter.entry["route"], matter.entry["state"], matter.entry["assigned"]) == ("R22", "sent", True)
    assert f"转介 {notes.referral}　儿童 {notes.child}" in county.see("queue", "残联")


def test_the_agency_learns_with_its_own_key_what_it_must_know_and_no_more(county: RunningCounty, notes: Notes) -> None:
    """Of all that is known of her, the route's whitelist: not her school, and not what the teacher wrote."""
    known = county.known_to(DISABLED_ID, notes.referral)

    assert known == {"name", "sex", "birth_date", "id_number", "address", "guardian_name", "guardian_phone"}


def test_the_agency_accepts_and_reports_a_result(county: RunningCounty, notes: Notes) -> None:
    """Who sent it learns of the result."""
    about = {"child": notes.child, "referral": notes.referral}
    county.act("accept", *DISABLED, **about)
    county.act("start", *DISABLED, **about)
    county.act("result", *DISABLED, result="service_in_place", **about)

    assert county.agency(DISABLED_ID).table[notes.referral].entry["state"] == "result_reported"
    assert county.notice("教体局", "残联已反馈一条事项的办理结果，请核实并告知报告人") == (notes.referral, notes.child)


def test_it_is_closed_only_after_the_reporter_is_informed(county: RunningCounty, notes: Notes) -> None:
    """A closed matter leaves the agency's open queue, and the agency's knowledge of the child goes with it."""
    about = {"child": notes.child, "referral": notes.referral, "channel": "phone"}
    county.act("close", *SCHOOLS, **about)
    assert "还没有告知报告人" in county.see("inbox", "教体局")

    county.act("inform-reporter", *SCHOOLS, **about)
    county.act("close", *SCHOOLS, **about)

    assert "未办 0 件，已办结 1 件" in county.see("queue", "残联")
    assert county.known_to(DISABLED_ID, notes.referral) == set()


# ---------------------------------------------------------------- somebody keeps in touch


def test_the_township_confirms_that_she_is_in_its_care(county: RunningCounty, notes: Notes) -> None:
    """The report was also a ground for the key-care ledger: a rule proposes it, a person decides."""
    proposal, _ = county.notice("仁里镇", "建议把一名儿童纳入重点关爱服务对象信息台账")
    county.act("confirm", *TOWNSHIP, child=notes.child, proposal=proposal)

    assert "仁里镇　自身残疾　2026-09-29 列入台账" in county.see("ledger")


def test_a_month_that_begins_brings_its_contact(county: RunningCounty, notes: Notes) -> None:
    """She was entered late in September: the first contact is October's."""
    county.begin(SEPTEMBER_30)
    assert "每月联系" not in county.see("trace", notes.child)

    county.begin(OCTOBER_1)
    assert "每月联系 2026-10：生成，期限 2026-10-31" in county.see("trace", notes.child)


def test_a_call_that_reaches_nobody_is_no_contact(county: RunningCounty, notes: Notes) -> None:
    county.act("contact", *CHILD_DIRECTOR, "--no-reached", child=notes.child)

    assert "最近联系 还没有" in county.see("ledger")


def test_a_call_that_reaches_her_is_one(county: RunningCounty, notes: Notes) -> None:
    county.act("contact", *CHILD_DIRECTOR, "--reached", child=notes.child)

    assert "最近联系 2026-10-01" in county.see("ledger")
    assert "每月联系 2026-10：已完成" in county.see("trace", notes.child)


# ---------------------------------------------------------------- is she the same child?


def test_a_child_without_papers_is_helped_at_once_and_becomes_a_question(county: RunningCounty, notes: Notes) -> None:
    """The hospital knows a name, a birthday and a telephone. Whether it is Xiaoyu, a person must say."""
    known = [f"name={NAME}", f"birth_date={BORN}", f"guardian_phone={TELEPHONE}"]
    notes.other_finding = county.finding(county.act("report", *DOCTOR, finding="uninsured", identity=known))

    [(notes.other_referral, matter)] = county.agency(INSURANCE_ID).table.items()
    notes.other_child = matter.entry["child"]
    assert notes.other_child != notes.child
    assert "id_number" not in county.known_to(INSURANCE_ID, notes.other_referral)
    notes.question, child = county.notice("民政局", "有两份档案可能是同一名儿童")
    assert child in (notes.child, notes.other_child)


def test_a_person_merges_the_two_files_and_everything_follows(county: RunningCounty, notes: Notes) -> None:
    """The open matter is hers now, and the agency learns the number that the hospital did not know."""
    county.act("confirm", *CIVIL_AFFAIRS, child=notes.child, proposal=notes.question)

    assert county.agency(INSURANCE_ID).table[notes.other_referral].entry["child"] == notes.child
    assert "id_number" in county.known_to(INSURANCE_ID, notes.other_referral)
    assert f"儿童 {notes.child}" in county.see("trace", notes.other_finding)


def test_a_person_splits_them_again_and_each_has_its_own(county: RunningCounty, notes: Notes) -> None:
    """It was another child after all: her matter goes back to her, Xiaoyu's ledger stays Xiaoyu's."""
    county.act("split", *CIVIL_AFFAIRS, child=notes.child, other=notes.other_child)

    assert county.agency(INSURANCE_ID).table[notes.other_referral].entry["child"] == notes.other_child
    assert "id_number" not in county.known_to(INSURANCE_ID, notes.other_referral)
    ledger = county.see("ledger")
    assert notes.child in ledger
    assert notes.other_child not in ledger


# ---------------------------------------------------------------- and nobody else knows


def test_no_topic_table_or_log_tells_who_she_is(county: RunningCounty) -> None:
    """Names, numbers and telephones are found where her units wrote them, and nowhere else."""
    people = privacy.People({NAME, MOTHER}, {NUMBER}, {TELEPHONE}, surnames=NAME[0])
    topics = county.topics()
    written = " ".join(str(record.body) for name in topics for record in topics[name] if name.startswith("department."))
    found = set(people.look(written))
    assert {"name", "ID number", "telephone"} <= found, "the search finds what is there"

    leaks = [*privacy.in_topics(people, topics), *county.in_tables(people), *privacy.in_logs(people, county.logs())]
    assert leaks == []
