"""`hutong explain` answers every question about a facts file, in Chinese or as JSON."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.explain import explain
from cli.facts_file import FactsUnreadable, claims_in, how_to_write
from cli.main import app
from contracts.vocabulary import FactName
from services.eligibility import labels
from services.eligibility.domain.assessment import assess
from services.eligibility.domain.facts import parse_facts
from services.eligibility.mapping import rule_parameters
from tests.county import demo_county
from tests.policy.test_cases import FILES, FOLDER, read

ON = date(2026, 8, 1)
CHILD = """
facts:
  birth_date: 2016-02-29
  hukou_division: 341702
  residence_division: "341722100"
  residence_since:
    - {value: 2026-03-01, dataset: residence, valid_on: 2026-03-01}
    - {value: 2026-02-20, dataset: school, valid_on: 2026-02-20}
  lives_with_mother: true
  insured: false
"""


@pytest.fixture
def child(tmp_path: Path) -> Path:
    file = tmp_path / "儿童.yaml"
    file.write_text(CHILD, "utf-8")
    return file


def test_it_shows_answer_reason_duration_and_citation(child: Path) -> None:
    text = explain(child, ON)

    assert "流动儿童：否（2026-08-20前不变）" in text
    assert "因为 自2026-02-20居住在此（在校在园儿童信息），到2026-08-20才满期限" in text
    assert "依据 石民函〔2025〕3号 正文开头“跨县域异地居住或生活6个月以上、不满十六周岁的未成年人”（方案原文）" in text
    assert "读法 要有学籍（休学保留学籍）；“纳入资助对象”以教体部门的资助名单为准" in text
    assert "没有新消息的话，2026-08-20起可能有变化。" in text


def test_it_names_the_places_it_compares(tmp_path: Path) -> None:
    """It names counties where counties are compared, and townships where townships are compared."""
    file = tmp_path / "儿童.yaml"
    file.write_text(CHILD.replace("341702", "'341702001002'").replace("341722100", "341722100003"), "utf-8")

    text = explain(file, date(2026, 9, 1))

    assert "因为 户籍在贵池区（341702），居住在石台县（341722），跨县域" in text
    assert "因为 离开了户籍所在乡镇（户籍贵池区（341702001），居住仁里镇（341722100））" in text
    for division, sentence in (
        ("341722100001", "户籍与居住地在同一个县（石台县（341722））"),
        ("341722100001", "户籍与居住地在同一个乡镇（仁里镇（341722100））"),
        ("810000", "没有内地户籍县（香港特别行政区（810000）），方案没有说怎么算"),
        ("341299001", "区划代码341299不在县的区划表里"),
    ):
        file.write_text(CHILD.replace("341702", f"'{division}'"), "utf-8")
        assert sentence in explain(file, date(2026, 9, 1))


def test_it_shows_what_is_missing_and_which_unit_holds_it(child: Path) -> None:
    text = explain(child, date(2026, 9, 1))

    assert "B-17 个案救助帮扶：不确定" in text
    assert "还缺 监护状况（人工认定）（民政局、仁里镇掌握）" in text
    assert "还缺 县定口径“纳入精神障碍社区康复”" in text


def test_an_invented_criterion_is_marked_as_invented(child: Path) -> None:
    text = explain(child, date(2026, 9, 1))

    assert "县定口径“持有居住证（演示口径）”还缺：持有居住证（演示口径，为演示编造）" in text


def test_every_day_on_which_an_answer_changes_is_listed(child: Path) -> None:
    text = explain(child, ON, until=date(2034, 2, 28))
    changes = text.partition("到2034-02-28为止")[2]

    assert changes.index("2026-08-20\n  流动儿童：否 → 是") < changes.index("2032-02-29\n  流动儿童：是 → 否")
    assert "出现 R25 未参加医保（待核实）（L3 一般）" in changes
    assert "B-16 临时救助服务：不确定 → 否\n    2034-02-28起已满18周岁" in changes.partition("2034-02-28\n")[2]


def test_no_change_after_the_last_day_is_listed(child: Path) -> None:
    assert "2026-08-20\n" not in explain(child, ON, until=date(2026, 8, 19))
    assert "2026-08-20\n" in explain(child, ON, until=date(2026, 8, 20))


def test_json_has_the_same_content(child: Path) -> None:
    data = json.loads(explain(child, ON, json=True, until=date(2027, 1, 1)))
    answers = {answer["subject"]: answer for answer in data["answers"]}

    assert (data["county"], data["on"], data["ruleset"]) == ("341722", "2026-08-01", "2025-02-17/1")
    assert answers["migrant"]["answer"] == "no"
    assert answers["migrant"]["until"] == "2026-08-20"
    assert answers["migrant"]["reasons"][0]["code"] == "not_here_long_enough"
    assert answers["B-12(2)"]["fulfilment"] == "either"
    assert [change["on"] for change in data["changes"]] == ["2026-08-20"]
    assert data["changes"][0]["answers"][0]["before"] == "no"
    assert [gap["route"] for gap in data["changes"][0]["begun"]] == ["R25"]


@pytest.mark.parametrize("file", FILES[::12], ids=lambda file: file.stem)
def test_every_policy_case_can_be_read(file: Path) -> None:
    case = read(file)

    assert explain(file, case.on, until=date(2030, 1, 1)).startswith("石台县")
    assert json.loads(explain(file, case.on, json=True))["answers"]


def test_the_newest_claim_is_used_and_every_arrival_counts() -> None:
    facts = parse_facts(
        claims_in(
            {
                "insured": [
                    {"value": True, "valid_on": date(2026, 3, 31)},
                    {"value": False, "valid_on": date(2025, 3, 31), "recorded_on": date(2026, 7, 1)},
                ],
                "residence_since": [
                    {"value": date(2026, 5, 1), "valid_on": date(2026, 5, 1)},
                    {"value": date(2025, 1, 1), "valid_on": date(2025, 1, 1), "dataset": "school"},
                ],
            },
            ON,
        )
    )

    assert list(facts.flags.values()) == [True]
    assert [arrival.on for arrival in facts.arrivals] == [date(2025, 1, 1), date(2026, 5, 1)]


@pytest.mark.parametrize(
    ("facts", "fact", "remedy"),
    [
        ({"brith_date": date(2016, 1, 1)}, "brith_date", "是不是 birth_date（出生日期）"),
        ({"birth_date": "二月三十日"}, "birth_date", "请写日期，如 2026-09-30"),
        ({"birth_date": "2016-02-30"}, "birth_date", "请写日期，如 2026-09-30"),
        ({"insured": "是"}, "insured", "请写 true 或 false；不知道就不写"),
        ({"school_grade": True}, "school_grade", "请写1到12的整数"),
        ({"school_status": "在读"}, "school_status", "可写 dropped_out、enrolled、graduated、not_enrolled、suspended"),
        ({"school_grade": 13}, "school_grade", "请写1到12的整数"),
        ({"disability_grade": 0}, "disability_grade", "请写1到4的整数"),
        ({"insured_year": 99999}, "insured_year", "请写2000到2100的整数"),
        ({"birth_date": "1899-12-31"}, "birth_date", "请写日期，如 2026-09-30"),
        ({"hukou_division": "安徽石台"}, "hukou_division", "请写六、九或十二位区划代码"),
        ({"hukou_division": 341702.5}, "hukou_division", "请写六、九或十二位区划代码"),
        ({"residence_division": "341722"}, "residence_division", "请写到乡镇或村"),
        ({"insured": None}, "insured", "不知道就整行不写"),
        ({"insured": []}, "insured", "不知道就整行不写"),
        ({"insured": [{"value": True, "chosen": "no"}]}, "insured", "请写 true 或 false"),
        ({"insured": [{"value": True, "chosen": True}] * 2}, "insured", "请只留一条"),
        ({"insured": {"value": True, "valid_on": date(9999, 1, 1)}}, "insured", "请写成 2026-09-30"),
        ({"insured": {"valeu": True}}, "insured", "可写"),
        ({"insured": {"value": True, "valid_on": "去年"}}, "insured", "请写成 2026-09-30"),
    ],
)
def test_a_problem_names_the_fact_and_its_remedy_and_never_its_value(
    facts: dict[str, Any], fact: str, remedy: str
) -> None:
    with pytest.raises(FactsUnreadable) as refused:
        claims_in(facts, ON)

    [problem] = refused.value.problems
    assert problem.fact == fact
    assert remedy in problem.remedy
    assert not any(str(value) in problem.message for value in facts.values() if isinstance(value, str))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "是空的"),
        (b"- 1", "没有 facts 一节"),
        (b"facts: [1]", "没有 facts 一节"),
        (b"facts: &a [*a]", "没有 facts 一节"),
        (b"{", "写法不对"),
        (b"facts:\n  ? [a, b]\n  : 1", "第2行写法不对"),
        (b"facts: !!python/name:os.system x", "第1行写法不对"),
        (b"facts: !!int x", "不是 YAML 文件"),
        (b"facts: \x00", "不是 YAML 文件"),
        ("facts: {}  # 乡镇".encode("gb18030"), "不是 UTF-8 编码"),
        (b"facts:\n  insured: true\n  insured: false", "第3行写法不对（insured 写了两次）"),
        (b"fact: {}\nfacts: {}", "fact：没有这一节"),
        (b"county: {routes: []}\nfacts: {}", "county：写法不对"),
        (b"county: {thresholds: {age_limt: 1}}\nfacts: {}", "county：写法不对"),
        (b"county: {criteria: 3}\nfacts: {}", "county：写法不对"),
        (b"facts:\n  birth_date: 2016-02-30", "birth_date：值不对"),
    ],
)
def test_a_file_that_is_not_a_facts_file_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "事实.yaml"
    file.write_bytes(content)

    with pytest.raises(FactsUnreadable) as refused:
        explain(file, ON)

    [problem] = refused.value.problems
    assert message in str(problem)
    assert problem.remedy


def test_until_is_not_before_the_day_that_is_asked_about(child: Path) -> None:
    with pytest.raises(FactsUnreadable, match="--until：早于 --on"):
        explain(child, ON, until=date(2026, 7, 31))


def test_a_file_may_change_the_countys_thresholds_and_criteria(tmp_path: Path) -> None:
    file = tmp_path / "案例.yaml"
    file.write_text(CHILD + "county: {thresholds: {residence_months: 3}, criteria: []}\n", "utf-8")

    text = explain(file, ON)

    assert "流动儿童：是" in text
    assert "县数据 2026-11（按文件改过）" in text
    assert "还缺 县定口径“随迁子女就近就读公办学校”（教体局可以定）" in text


def test_the_command_needs_no_particular_folder(child: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, ["explain", str(child), "--on", "2026-08-01", "--json"])

    assert result.exit_code == 0
    assert json.loads(result.stdout)["county"] == "341722"


def test_a_register_s_never_is_a_day_that_does_not_come() -> None:
    """Registers write 9999-12-31 for "never": no date that is computed from it leaves the calendar."""
    names = ("birth_date", "residence_since", "residence_ended", "away_since", "school_since", "deceased")
    days = dict.fromkeys(names, "9999-12-31")
    facts = parse_facts(claims_in({**days, "school_stage": "junior", "residence_division": "341722100"}, ON))

    assessment = assess(facts, rule_parameters(demo_county()), ON)

    assert assessment.migrant.until is not None


def test_the_readme_lists_every_fact() -> None:
    """The cases' README has a line for each fact: its name, its label and how it is written."""
    listed = (FOLDER.parent / "README.md").read_text("utf-8")
    lines = [f"| `{name}` | {labels.FACTS[name]} | {how_to_write(name)} |" for name in FactName]

    assert [line for line in lines if line not in listed] == []


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FactsUnreadable, match="打不开这个文件"):
        explain(tmp_path / "没有.yaml", ON)
