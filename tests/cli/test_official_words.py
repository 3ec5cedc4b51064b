"""Templates, labels, help texts, county data and guides use only the official words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]

OFFICIAL: dict[str, str] = {
    r"紧急上报": "紧急情况报告（先拨110）",
    r"披露": "提供信息",
    r"应享": "符合条件（待核实）、疑似应享未享",
    r"销号|销账|销掉": "办结（事项）、移出台账（儿童）",
    r"入账|在账": "列入台账、在册",
    r"时钟|县里的钟": "办理时限、业务日期",
    r"主办单位": "承办单位",
    r"受限|密封|限制通道": "限知事项、专册管理",
    r"独自居住|独居|独自一人|无人照管|无人照看": "无人看护（未满八周岁）、脱离监护单独生活（未满十六周岁）",
    r"家庭困难": "家庭生活困难",
    r"无监护人|没有监护人(?!同住)": "监护缺失",
    r"(?<!疑似)孤儿或|发现孤儿|孤儿线索": "疑似孤儿",
    r"不是流动儿童（": "不属于本清单服务对象，义务教育、预防接种等依法同等享有",
    r"不再报送|不再上报|不再有这一行|未参保|未接种": "本期名单未见",
    r"数据提示了": "比对发现",
    r"漏掉": "逾期未做",
    r"去掉坏格": "部分收下（剔除有误单元格）",
    r"不成事件": "无法识别的消息",
    r"(?:已|未|没有)受理|受理单位": "已收到、未收（系统的回执），签收（转介），承办单位",
    r"另一双眼睛|有名有姓|像一个团队": "须用专人账号、须写明由谁决定、各部门协同",
}
"""Pattern of a wrong word -> the official word."""

NOT_SHOWN = {"services/intake/domain/cells.py"}
"""Modules with the departments' own words, which are accepted in cells and never shown."""
QUOTED_KEYS = {"phrase", "names"}
"""Keys of county data that hold quotations, or the headings of the departments' own workbooks."""
PYTHON = ("cli", "contracts", "county", "demo", "deploy", "examples", "services", "workbooks")
DOCUMENTS = (
    "README.md",
    "README.zh-CN.md",
    "CHANGELOG.md",
    "docs/departments.md",
    "docs/glossary.md",
    "docs/operations.md",
    *sorted(
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "examples").iterdir()
        if path.suffix in {".csv", ".md", ".yaml"}
    ),
)
COUNTY_DATA = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("deploy/counties/*/*.yaml"))
MODULES = sorted(
    name
    for folder in PYTHON
    for path in (ROOT / folder).rglob("*.py")
    if (name := path.relative_to(ROOT).as_posix()) not in NOT_SHOWN
)


def wrong_words(text: str) -> list[str]:
    return [
        f"{match[0]}: write {official}" for wrong, official in OFFICIAL.items() if (match := re.search(wrong, text))
    ]


def shown_strings(source: str) -> Iterator[str]:
    """Yield every string of a module, without quotations of the law (``Citation``)."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Citation"):
            waiting.extend(ast.iter_child_nodes(node))


def shown_values(data: object) -> Iterator[str]:
    """Yield every text of a file of county data, without quotations and departments' headings."""
    match data:
        case dict():
            for key, value in data.items():
                if key not in QUOTED_KEYS:
                    yield from shown_values(value)
        case list():
            for value in data:
                yield from shown_values(value)
        case str():
            yield data


@pytest.mark.parametrize("module", MODULES)
def test_no_template_label_or_help_text_uses_another_word(module: str) -> None:
    source = (ROOT / module).read_text("utf-8")
    assert [wrong for text in shown_strings(source) for wrong in wrong_words(text)] == []


@pytest.mark.parametrize("name", COUNTY_DATA)
def test_no_county_data_uses_another_word(name: str) -> None:
    data = yaml.safe_load((ROOT / name).read_text("utf-8"))
    assert [wrong for text in shown_values(data) for wrong in wrong_words(text)] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_guide_uses_another_word(name: str) -> None:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    assert [f"{number}: {wrong}" for number, line in enumerate(lines, 1) for wrong in wrong_words(line)] == []


@pytest.mark.parametrize(
    "planted",
    [
        "这件事项已销号",
        "情况已受理",
        "打开披露内容",
        "受限事项",
        "无人照管",
        "没有监护人",
        "孤儿或事实无人抚养",
        "该来源不再报送",
    ],
)
def test_a_planted_word_is_found_wherever_it_is_read(planted: str) -> None:
    assert wrong_words(planted)
    assert [text for text in shown_strings(f'LABELS = {{"code": "{planted}"}}') if wrong_words(text)]
    assert [text for text in shown_values({"routes": [{"expects": planted}]}) if wrong_words(text)]


def test_quotations_of_the_law_and_headings_of_departments_keep_their_words() -> None:
    assert list(shown_strings('Citation("row 11", "孤儿或事实无人抚养儿童")')) == []
    assert list(shown_values({"basis": [{"phrase": "没有监护人"}], "columns": [{"names": ["独居"]}]})) == []
