"""The golden path: what Hutong does for one child, from a row in a school's workbook to her own file.

Five real services run on a real Kafka and PostgreSQL. The chapters run in order and use only what people and agencies
have: ``hutong submit`` for workbooks, ``hutong act`` for actions, ``hutong queue``, ``inbox``, ``ledger`` and ``trace``
to read, and an agency's own Kafka client. The county's clock begins each day.

Xiaoyu is eleven. Her household is registered in another county; she lives in the town of Renli with her mother.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import pytest

from demo.checks import privacy
from deploy.embedded.stack import LocalStack
from tests.golden_path.harness import RunningCounty, running_county
from tests.registry.people import a_number

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
    """Run the county on its own servers, because other tests leave users and events on the session's servers."""
    folder = tmp_path_factory.mktemp("story")
    with (
        stack_class(folder / "stack", durable=False) as stack,
        running_county(stack, folder, SEPTEMBER_29) as running,
    ):
        yield running


@dataclass(slots=True)
class Notes:
    """Numbers and ids from earlier chapters."""

    finding: str = ""
    child: str = ""
    referral: str = ""
    other_finding: str = ""
    other_child: str = ""
    other_referral: str = ""
    review: str = ""


@pytest.fixture(scope="module")
def notes() -> Notes:
    return Notes()


# ---------------------------------------------------------------- one child, one file


def test_the_school_and_the_police_each_submit_a_workbook(county: RunningCounty) -> None:
    """Each gets a receipt for its row."""
    by_school = XIAOYU | {"学校名称": "示例小学", "年级": "五年级", "学籍状态": "在读"}
    by_police = XIAOYU | {
        "户籍地区划": "341702", "居住地区划": RENLI, "居住详址": "仁里镇虚构村1号", "来本地日期": date(2024, 2, 20),
        "与父亲同住": "否", "与母亲同住": "是", "是否持有居住证": "是",
    }  # fmt: skip

    for unit, dataset, row in (("教体局", "school", by_school), ("公安局", "residence", by_police)):
        assert county.rows_accepted(county.submit(unit, dataset, row)) == 1


def test_a_teacher_reports_what_she_sees(county: RunningCounty, notes: Notes) -> None:
    """A report names the child as the teacher knows her, and what was found as a code."""
    receipt = county.act(
        "report", *TEACHER, finding="disability_unserved", level="L2", township=RENLI,
        identity=[f"name={NAME}", f"id_number={NUMBER}"], note="虚构内容：需要康复评估。",
    )  # fmt: skip

    notes.finding = county.report_number(receipt)


def test_all_three_reports_are_linked_to_one_migrant_child(county: RunningCounty, notes: Notes) -> None:
    """The trace of the report shows her one file, its sources and what follows from them."""
    trace = county.output_of("trace", notes.finding)

    [sources] = re.findall(r"来源：(.+)", trace)
    assert {"在校在园儿童信息", "流动人口居住登记信息"} <= set(sources.split("、"))
    assert "是不是流动儿童：是" in trace


# ---------------------------------------------------------------- one referral, until it is closed


def test_the_referral_is_in_the_agency_s_queue(county: RunningCounty, notes: Notes) -> None:
    [(notes.referral, queued)] = county.agency(DISABLED_ID).cases.items()

    assert (queued.entry["route"], queued.entry["state"], queued.entry["assigned"]) == ("R22", "sent", True)
    [notes.child] = re.findall(rf"转介 {notes.referral}　儿童 (\S+)", county.output_of("queue", "残联"))
    assert county.child_id(notes.child) == queued.entry["child"]


def test_the_agency_decrypts_only_the_fields_of_the_whitelist(county: RunningCounty, notes: Notes) -> None:
    """The agency gets the fields of the route's whitelist, but not her school or the teacher's text."""
    fields = county.disclosed_fields(DISABLED_ID, notes.referral)

    assert fields == {"name", "sex", "birth_date", "id_number", "address", "guardian_name", "guardian_phone"}


def test_the_agency_accepts_and_reports_a_result(county: RunningCounty, notes: Notes) -> None:
    """The sender is notified of the result."""
    case = {"child": notes.child, "referral": notes.referral}
    county.act("accept", *DISABLED, **case)
    county.act("start", *DISABLED, **case)
    county.act("result", *DISABLED, result="service_in_place", **case)

    assert county.agency(DISABLED_ID).cases[notes.referral].entry["state"] == "result_reported"
    assert county.notice("教体局", "残联已反馈一条事项的办理结果，请核实并告知报告人") == (notes.referral, notes.child)


def test_the_referral_is_closed_only_after_the_reporter_is_informed(county: RunningCounty, notes: Notes) -> None:
    """A closed referral leaves the agency's open queue, and its disclosure ends."""
    case = {"child": notes.child, "referral": notes.referral, "channel": "phone"}
    county.act("close", *SCHOOLS, **case)
    assert "还没有告知报告人" in county.output_of("inbox", "教体局")

    county.act("inform-reporter", *SCHOOLS, **case)
    county.act("close", *SCHOOLS, **case)

    assert "未办 0 件，已办结 1 件" in county.output_of("queue", "残联")
    assert county.disclosed_fields(DISABLED_ID, notes.referral) == set()


# ---------------------------------------------------------------- somebody keeps in touch


def test_the_township_confirms_the_ledger_entry(county: RunningCounty, notes: Notes) -> None:
    """The report is also a ground for the key-care ledger: a rule proposes an entry, a person decides."""
    proposal, _ = county.notice("仁里镇", "建议把一名儿童纳入重点关爱服务对象信息台账")
    county.act("confirm", *TOWNSHIP, child=notes.child, proposal=proposal)

    assert "仁里镇　自身残疾　2026-09-29 列入台账" in county.output_of("ledger")


def test_a_new_month_creates_its_contact_duty(county: RunningCounty, notes: Notes) -> None:
    """The entry is late in September, so the first contact is due in October."""
    county.begin(SEPTEMBER_30)
    assert "每月联系" not in county.output_of("trace", notes.child)

    county.begin(OCTOBER_1)
    assert "每月联系 2026-10：生成，期限 2026-10-31" in county.output_of("trace", notes.child)


def test_a_call_that_reaches_nobody_does_not_fulfil_the_duty(county: RunningCounty, notes: Notes) -> None:
    county.act("contact", *CHILD_DIRECTOR, "--no-reached", child=notes.child)

    assert "最近联系 还没有" in county.output_of("ledger")


def test_a_call_that_reaches_her_fulfils_the_duty(county: RunningCounty, notes: Notes) -> None:
    county.act("contact", *CHILD_DIRECTOR, "--reached", child=notes.child)

    assert "最近联系 2026-10-01" in county.output_of("ledger")
    assert "每月联系 2026-10：已完成" in county.output_of("trace", notes.child)


# ---------------------------------------------------------------- is she the same child?


def test_a_child_without_papers_is_referred_immediately_and_opens_a_review(county: RunningCounty, notes: Notes) -> None:
    """The hospital reports a name, a birthday and a telephone number; a person must decide whether it is Xiaoyu."""
    identity = [f"name={NAME}", f"birth_date={BORN}", f"guardian_phone={TELEPHONE}"]
    notes.other_finding = county.report_number(county.act("report", *DOCTOR, finding="uninsured", identity=identity))

    [(notes.other_referral, queued)] = county.agency(INSURANCE_ID).cases.items()
    [notes.other_child] = re.findall(
        rf"转介 {notes.other_referral}　儿童 (\S+)", county.output_of("queue", INSURANCE_ID)
    )
    assert county.child_id(notes.other_child) == queued.entry["child"]
    assert notes.other_child != notes.child
    assert "id_number" not in county.disclosed_fields(INSURANCE_ID, notes.other_referral)
    notes.review, child = county.notice("民政局", "有两份档案可能是同一名儿童")
    assert child in (notes.child, notes.other_child)


def test_a_person_merges_the_two_files_and_the_referral_follows(county: RunningCounty, notes: Notes) -> None:
    """The open referral is hers now, and the agency gets the number that the hospital did not know."""
    county.act("confirm", *CIVIL_AFFAIRS, child=notes.child, proposal=notes.review)

    assert county.agency(INSURANCE_ID).cases[notes.other_referral].entry["child"] == county.child_id(notes.child)
    assert "id_number" in county.disclosed_fields(INSURANCE_ID, notes.other_referral)
    assert f"儿童 {notes.child}" in county.output_of("trace", notes.other_finding)


def test_a_person_splits_them_again_and_each_keeps_its_own(county: RunningCounty, notes: Notes) -> None:
    """It was another child: the referral moves back to her file, and the ledger entry stays with Xiaoyu."""
    county.act("split", *CIVIL_AFFAIRS, child=notes.child, other=notes.other_child)

    assert county.agency(INSURANCE_ID).cases[notes.other_referral].entry["child"] == county.child_id(notes.other_child)
    assert "id_number" not in county.disclosed_fields(INSURANCE_ID, notes.other_referral)
    ledger = county.output_of("ledger")
    assert notes.child in ledger
    assert notes.other_child not in ledger


# ---------------------------------------------------------------- identities


def test_no_topic_table_or_log_reveals_her_identity(county: RunningCounty) -> None:
    """Names, numbers and telephones are only where her units wrote them."""
    people = privacy.Identities({NAME, MOTHER}, {NUMBER}, {TELEPHONE}, surnames=NAME[0])
    topics = county.topics()
    written = " ".join(str(record.body) for name in topics for record in topics[name] if name.startswith("department."))
    leaked = set(people.find(written))
    assert {"name", "ID number", "telephone"} <= leaked, "the search finds what is there"

    leaks = [*privacy.in_topics(people, topics), *county.in_tables(people), *privacy.in_logs(people, county.logs())]
    assert leaks == []
