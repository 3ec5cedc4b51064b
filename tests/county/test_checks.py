"""A county's folder is data: every error is reported with its file and line, and nothing is guessed."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from county.checks import check
from county.problem import CountyInvalid, Problem
from county.reader import load
from services.eligibility.domain.assessment import RULEBOOK
from services.eligibility.domain.sources import SOURCES
from services.eligibility.requirements import REQUIREMENTS
from tests.county import FOLDER, a_county, copy_county, replace_in_file

PLAN = Path(os.environ.get("HUTONG_PLAN", Path(__file__).parents[3] / "shared" / "domain" / "plan.txt"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_county(tmp_path)


def only(problems: list[Problem]) -> Problem:
    assert len(problems) == 1, [str(problem) for problem in problems]
    return problems[0]


@dataclass(frozen=True)
class Break:
    """One error in the folder and the expected message."""

    file: str
    old: str
    new: str
    message: str
    lines_below: int | None = 0
    """None if the missing part has no line of its own and the line of its parent is reported."""


BREAKS = {
    "a misspelt threshold": Break(
        "cadence.yaml", "  residence_months: 6", "  residence_month: 6", "不认识的键 thresholds.residence_month"
    ),
    "a key that no county has": Break(
        "county.yaml", "name: 石台县", "name: 石台县\ncolour: red", "不认识的键 colour", 1
    ),
    "a key written in two files": Break(
        "townships.yaml", "townships:", "version: x\ntownships:", "version 已在 county.yaml 第5行"
    ),
    "a key written twice in one place": Break(
        "cadence.yaml", "  reopen_days: 90", "  reopen_days: 90\n  reopen_days: 30", "写了两次", 1
    ),
    "broken YAML": Break("clocks.yaml", "  L2:\n", "  L2: [\n", "YAML", 2),
    "a clock that is no number": Break("clocks.yaml", "result_days: 10", "result_days: soon", "result_days"),
    "a level nobody knows": Break(
        "routes.yaml",
        "title: 法律援助需求\n    findings: [legal_help_need]\n    unit: 341722-mzj\n    level: L2",
        "title: 法律援助需求\n    findings: [legal_help_need]\n    unit: 341722-mzj\n    level: L9",
        "level",
        3,
    ),
    "a route to a unit that is not there": Break(
        "routes.yaml",
        "findings: [legal_help_need]\n    unit: 341722-mzj",
        "findings: [legal_help_need]\n    unit: 341722-sfj",
        "没有 341722-sfj 这个单位",
        1,
    ),
    "a route to a unit without a queue": Break(
        "routes.yaml",
        "findings: [legal_help_need]\n    unit: 341722-mzj",
        "findings: [legal_help_need]\n    unit: 341722-czj",
        "341722-czj 没有转介队列",
        1,
    ),
    "a restricted route to a unit without a second queue": Break(
        "routes.yaml",
        "findings: [guardianship_at_risk]\n    unit: 341722-mzj",
        "findings: [guardianship_at_risk]\n    unit: 341722-zjj",
        "没有限制队列",
        1,
    ),
    "a restricted referral sent to a unit without a restricted inbox": Break(
        "routes.yaml",
        "inform: [341722-mzj, 341722-jtj, 341722-jcy]",
        "inform: [341722-mzj, 341722-jtj, 341722-tjj]",
        "没有限制收件箱",
    ),
    "a mandatory report on the ordinary way": Break(
        "routes.yaml",
        "inform: [341722-mzj, 341722-jtj, 341722-jcy]\n    level: L0\n    restricted: true",
        "inform: [341722-mzj, 341722-jtj, 341722-jcy]\n    level: L0\n    restricted: false",
        "R1 必须走限知通道",
        2,
    ),
    "a finding that goes nowhere": Break("routes.yaml", "[legal_help_need]", "[]", "legal_help_need 没有路线", None),
    "a township without anybody behind it": Break(
        "townships.yaml", "unit: 341722-xiaohe", "unit: 341722-xiaohu", "没有 341722-xiaohu 这个单位"
    ),
    "a township of another county": Break("townships.yaml", '"341722105"', '"341723105"', "不是本县的乡镇"),
    "an inbox without a recipient": Break("units.yaml", "    recipient: tjj-01\n", "", "收件箱没有负责人", -3),
    "a recipient who is somebody else's": Break(
        "units.yaml", "recipient: tjj-01", "recipient: czj-01", "不在 341722-tjj 的人员里"
    ),
    "a small place under a parent that is not there": Break(
        "units.yaml",
        "id: 341722-cdc\n    name: 石台县疾病预防控制中心\n    short: 疾控中心\n    parent: 341722-wjw",
        "id: 341722-cdc\n    name: 石台县疾病预防控制中心\n    short: 疾控中心\n    parent: 341722-jkj",
        "上级单位 341722-jkj 不存在",
        3,
    ),
    "a person in a role that is not there": Break(
        "units.yaml",
        "{id: tjj-01, name: 演示统计甲, role: agency_officer}",
        "{id: tjj-01, name: 演示统计甲, role: boss}",
        "没有 boss 这个岗位",
    ),
    "a private key where a public one belongs": Break(
        "units.yaml",
        "    short: 统计局\n",
        '    short: 统计局\n    public_key: \'{"kty":"OKP","crv":"X25519","x":"a","d":"b"}\'\n',
        "带着私钥",
        1,
    ),
    "a key for a channel that is not there": Break(
        "units.yaml",
        "    short: 统计局\n",
        '    short: 统计局\n    restricted_public_key: \'{"kty":"OKP","crv":"X25519","x":"a"}\'\n',
        "341722-tjj 没有限知通道",
        1,
    ),
    "one key for both of a unit's log-ins": Break(
        "units.yaml",
        "    short: 公安局\n",
        '    short: 公安局\n    public_key: \'{"kty":"OKP","crv":"X25519","x":"a"}\'\n'
        '    restricted_public_key: \'{"use":"enc","kty":"OKP","crv":"X25519","x":"a"}\'\n',
        "341722-gaj 的 restricted_public_key 和 341722-gaj 的 public_key 是同一把",
        2,
    ),
    "a verb that nobody may use": Break(
        "roles.yaml", "reopen, merge, split]", "reopen, split]", "没有人能做 merge", None
    ),
    "a role without a name": Break("roles.yaml", "  volunteer: 志愿者\n", "", "岗位 volunteer 没有中文名", None),
    "one header for two fields": Break(
        "datasets.yaml",
        "names: [是否受资助, 是否资助对象, 是否享受资助]",
        "names: [是否受资助, 是否残疾]",
        "表头 是否残疾 在 school 里既是 aided_student 又是 disability",
        1,
    ),
    "a column for something nobody knows": Break(
        "datasets.yaml", "{field: aided_student,", "{field: pocket_money,", "没有 pocket_money 这个字段"
    ),
    "a column for forbidden contents": Break(
        "datasets.yaml",
        "names: [是否受资助, 是否资助对象, 是否享受资助]",
        "names: [是否受资助, 是否有前科]",
        "封存字样“前科”",
    ),
    "a dataset without a legal basis": Break(
        "datasets.yaml",
        "name: 上报线索所附身份信息\n    purpose: 把线索归到儿童名下，转交应当处置的单位（方案（二）（六））\n"
        "    legal_basis: 未成年人保护法第11条；个人信息保护法第13条第1款第3项",
        "name: 上报线索所附身份信息\n    purpose: 把线索归到儿童名下\n    legal_basis: ' '",
        "没有写 legal_basis",
        2,
    ),
    "a dataset that nobody registered": Break(
        "units.yaml", "submits: [insurance]", "submits: [income]", "没有登记数据集 income"
    ),
    "an item that is nobody's": Break(
        "catalogue.yaml",
        "title: 配合照料治疗\n    summary: 在本地照料、看病\n    units: [341722-mzj]",
        "title: 配合照料治疗\n    summary: 在本地照料、看病\n    units: []",
        "B-15(2) 没有责任单位",
        2,
    ),
    "a numbered item without its row": Break(
        "catalogue.yaml", "  - id: B-15\n", "  - id: B-22\n", "B-15(1) 没有所在的行", None
    ),
    "a fact that nobody holds": Break("holders.yaml", "  tekun: [341722-mzj]\n", "", "没有写 tekun 问谁", None),
    "a fact held by somebody unknown": Break(
        "holders.yaml", "  tekun: [341722-mzj]", "  tekun: [341722-xxx]", "341722-xxx"
    ),
    "a criterion that no fact can meet": Break(
        "criteria.yaml",
        '- [hardship_sudden, "true"]',
        '- [hardship_sudden, "often"]',
        "hardship_sudden 不会是“often”",
        -1,
    ),
    "an abolished code without an heir": Break(
        "divisions.yaml", 'name: 居巢区, successor: "340181"', 'name: 居巢区, successor: "349999"', "承接代码 349999"
    ),
    "a code written twice": Break("divisions.yaml", '{code: "340121"', '{code: "340122"', "340122 写了两次", 1),
    "a year missing between two": Break("working_days.yaml", "[2025, 2026]", "[2025, 2027]", "中间缺 2026 年", None),
    "a holiday on a Sunday": Break("working_days.yaml", "2026-09-25,", "2026-09-27,", "本来就是周末"),
    "a year that is published and has no holiday": Break(
        "working_days.yaml", "[2025, 2026]", "[2025, 2026, 2027]", "2027", None
    ),
    "a due date that is no date": Break("cadence.yaml", '["03-31", "09-30"]', '["03-31", "09-31"]', "09-31"),
    "a phrase that is not in its row": Break(
        "catalogue.yaml", 'phrase: "临时救助服务"', 'phrase: "发放红包"', "“发放红包”不在原文 row 16 里"
    ),
    "an item that quotes another row": Break(
        "catalogue.yaml", 'row 13, phrase: "12 年免费教育"', 'row 12, phrase: "12 年免费教育"', "B-13(2) 引的不是它自己"
    ),
    "a row that the list does not have": Break(
        "catalogue.yaml", "  - id: B-2\n", "  - id: B-32\n", "原文清单里的第2行", None
    ),
    "a day that does not exist": Break("working_days.yaml", "2026-09-25,", "2026-02-30,", "读不懂 2026-02-30"),
    "days of a year that is not marked as published": Break(
        "working_days.yaml", "[2025, 2026]", "[2025]", "2026 年不在 published_years 里", None
    ),
    "a code without quotes": Break("county.yaml", 'code: "341722"', "code: 341722", "code 应当是一段文字"),
    "a length of stay below nought": Break(
        "cadence.yaml", "  residence_months: 6", "  residence_months: -6", "residence_months 是 -6"
    ),
    "a clock of no time": Break("clocks.yaml", "accept_days: 3", "accept_days: 0", "accept_days 是 0"),
    "a unit under another's id": Break(
        "units.yaml", "- id: 341722-czj", "- id: 341722-gaj", "单位 341722-gaj 写了两次"
    ),
    "a fact that does not exist among the holders": Break("holders.yaml", "  sex:", "  sexx:", "holders.sexx"),
    "a criterion that no rule asks for": Break(
        "criteria.yaml", "term: local_relief", "term: local_relif", "没有规则用到口径 local_relif"
    ),
    "a finding that nobody knows": Break(
        "routes.yaml", "findings: [out_of_school]", "findings: [out_of_scool]", "findings.0 的值不在允许的范围内"
    ),
    "a phrase that is in another row": Break(
        "catalogue.yaml", 'row 13, phrase: "12 年免费教育"', 'row 12, phrase: "12 年免费教育"', "不在原文 row 12 里"
    ),
    "an article that the policy does not have": Break(
        "routes.yaml",
        'article: 八, phrase: "为流动儿童父母提供就业指导服务"',
        'article: 九, phrase: "为流动儿童父母提供就业指导服务"',
        "原文里没有 九",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_an_error_is_reported_with_its_line(name: str, folder: Path) -> None:
    broken = BREAKS[name]
    needs_plan = "原文" in broken.message
    if needs_plan and not PLAN.exists():
        pytest.skip("the policy's text is not here")
    line = replace_in_file(folder, broken.file, broken.old, broken.new)
    problems = check(folder, REQUIREMENTS, PLAN if needs_plan else None)
    matching = [problem for problem in problems if broken.message in problem.message]
    assert matching, [str(problem) for problem in problems]
    assert matching[0].file == broken.file
    if broken.lines_below is not None:
        assert matching[0].line == line + broken.lines_below
    assert matching[0].remedy


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "“键: 值”的形式"),
        (b"- 1", "“键: 值”的形式"),
        (b"townships:", "townships 应当是一列值"),
        (b"townships: 5", "townships 应当是一列值"),
        (b"townships: [a]", "townships.0 应当是“键: 值”"),
        (b"townships: &a [*a]", "引用了它自己"),
        (b"townships: *a", "YAML 写法不对"),
        (b"townships: !!int x", "读不懂 x"),
        (b"townships: \x00", "不是文字的内容"),
        (b"? [a]\n: 1", "不认识的键"),
    ],
)
def test_invalid_file_content_is_reported_without_an_exception(folder: Path, content: bytes, message: str) -> None:
    (folder / "townships.yaml").write_bytes(content)

    matching = [problem for problem in check(folder, REQUIREMENTS) if problem.file == "townships.yaml"]

    assert message in only(matching).message
    with pytest.raises(CountyInvalid):
        load(folder)


def test_an_omitted_township_is_reported_where_a_unit_serves_it(folder: Path) -> None:
    replace_in_file(folder, "townships.yaml", '  - {code: "341722103", name: 丁香镇, unit: 341722-dingxiang}\n', "")

    matching = [problem for problem in check(folder, REQUIREMENTS) if "341722103 不在本县乡镇里" in problem.message]

    assert matching
    assert {problem.file for problem in matching} == {"units.yaml"}


def test_a_folder_in_place_of_a_file_is_reported(folder: Path) -> None:
    (folder / "zz.yaml").mkdir()
    assert only(check(folder, REQUIREMENTS)).message == "打不开这个文件"


def test_a_duplicate_id_is_reported_before_its_consequences(folder: Path) -> None:
    replace_in_file(folder, "units.yaml", "- id: 341722-czj", "- id: 341722-gaj")
    assert only(check(folder, REQUIREMENTS)).message == "单位 341722-gaj 写了两次"


def a_policy() -> str:
    """Return a text with every quotation of the demo county and the rules, each at its cited place."""
    county = a_county()
    quoted: list[Any] = [item.citation for item in county.catalogue]
    quoted += [basis for route in county.routes for basis in route.basis]
    quoted += [criterion.citation for criterion in county.criteria]
    phrases: dict[str, list[str]] = {}
    for each in (*quoted, *(rule.citation for rule in RULEBOOK), *SOURCES.values()):
        if each.article is not None and each.phrase is not None:
            phrases.setdefault(each.article, []).append(each.phrase)
    lines = phrases["opening"]
    for article in "一二三四五六七八":
        lines += [f"（{article}）", *phrases.get(article, ())]
    lines += ["三、工作要求", *phrases["三、工作要求"], "附件"]
    for number in range(1, 22):
        lines += [str(number), *phrases.get(f"row {number}", ())]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("old", "new", "file", "message"),
    [
        (
            "为流动儿童父母提供就业指导服务",
            "为父母提供服务",
            "routes.yaml",
            "“为流动儿童父母提供就业指导服务”不在原文 八 里",
        ),
        ("对残疾儿童普惠性学前教育予以资助", "", "catalogue.yaml", "不在原文 row 13 里"),
        ("为纳入资助对象的流动儿童提供保育费资助", "提供保育费资助", "catalogue.yaml", "规则 B-3(2) 引的"),
        ("跨县域异地居住或生活6个月以上", "异地居住或生活3个月以上", "county.yaml", "规则 definition 引的"),
        ("\n21", "\n21\n22", "catalogue.yaml", "没有原文清单里的第22行"),
    ],
)
def test_quotations_and_rows_are_checked_against_the_policy(
    tmp_path: Path, old: str, new: str, file: str, message: str
) -> None:
    policy = tmp_path / "方案.txt"
    policy.write_text(a_policy(), "utf-8")
    assert check(FOLDER, REQUIREMENTS, policy) == []
    assert a_policy().count(old) == 1
    policy.write_text(a_policy().replace(old, new), "utf-8")

    problem = only(check(FOLDER, REQUIREMENTS, policy))

    assert message in problem.message
    assert problem.file == file


def test_the_demo_county_has_no_errors() -> None:
    assert check(FOLDER, REQUIREMENTS) == []


@pytest.mark.skipif(not PLAN.exists(), reason="the policy's text is not here")
def test_every_citation_of_the_demo_county_is_in_the_policy() -> None:
    assert check(FOLDER, REQUIREMENTS, PLAN) == []


def test_an_empty_folder_is_not_a_county(tmp_path: Path) -> None:
    assert "没有 .yaml 文件" in only(check(tmp_path, REQUIREMENTS)).message
    with pytest.raises(CountyInvalid):
        load(tmp_path)


def test_a_missing_part_is_reported(folder: Path) -> None:
    (folder / "holders.yaml").unlink()
    (folder / "catalogue.yaml").unlink()
    assert only(check(folder, REQUIREMENTS)).message == "缺少 catalogue"


def test_a_file_in_another_encoding_is_refused_by_name(folder: Path) -> None:
    (folder / "townships.yaml").write_bytes("townships: []  # 乡镇".encode("gb18030"))
    assert [problem.file for problem in check(folder, REQUIREMENTS)] == ["townships.yaml"]
