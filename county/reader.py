"""Read a county's folder and record the file and line of each value.

The folder is one document (``contracts.county.County``) split into YAML files: every file is a mapping whose keys are
fields of the county, and a key may occur in one file only.
"""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from contracts.county import County
from county.problem import CountyInvalid, Location, Problem


def load(folder: Path | str) -> County:
    """Read the county of a folder and validate its form; :func:`county.checks.check` finds further problems.

    Raises:
        CountyInvalid: a file cannot be read, a key is unknown or missing, or a value is not of its form.
    """
    draft = read(Path(folder))
    county = build(draft)
    if county is None:
        raise CountyInvalid(draft.problems)
    return county


@dataclass(slots=True)
class Draft:
    """The values of a folder's files and their positions."""

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[Location, tuple[str, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def position(self, path: Location) -> tuple[str, int]:
        """Return file and line of a value, or of the nearest value that contains it."""
        for length in range(len(path), 0, -1):
            position = self.lines.get(path[:length])
            if position is not None:
                return position
        return "county.yaml", 1

    def problem(self, path: Location, message: str, remedy: str) -> Problem:
        file, line = self.position(path)
        return Problem(file, line, message, remedy)


def read(folder: Path) -> Draft:
    """Read a folder's files, whether or not they form a county."""
    draft = Draft()
    files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if not files:
        draft.problems.append(
            Problem(str(folder), 1, "文件夹里没有 .yaml 文件", "请给出县数据文件夹，例如 deploy/counties/341722")
        )
    for file in files:
        _read_file(file, draft)
    return draft


def _read_file(file: Path, draft: Draft) -> None:
    try:
        loader = yaml.CSafeLoader(file.read_text("utf-8"))
    except UnicodeDecodeError:
        draft.problems.append(Problem(file.name, 1, "文件不是 UTF-8 编码", "请另存为 UTF-8"))
        return
    except OSError:
        draft.problems.append(Problem(file.name, 1, "打不开这个文件", "请检查它的权限，或删去"))
        return
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            draft.problems.append(
                Problem(file.name, 1, "文件应当是“键: 值”的形式", "请对照 deploy/counties/341722 的同名文件")
            )
            return
        for key_node, value_node in node.value:
            key, line = _key(key_node), key_node.start_mark.line + 1
            if key in draft.values:
                first = draft.lines[(key,)]
                draft.problems.append(
                    Problem(file.name, line, f"{key} 已在 {first[0]} 第{first[1]}行写过", "一个键只写在一个文件里")
                )
                continue
            draft.lines[(key,)] = (file.name, line)
            draft.values[key] = _value(loader, value_node, (key,), file.name, draft)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        draft.problems.append(Problem(file.name, line, "YAML 写法不对", "请检查这一行和上一行的缩进、引号和冒号"))
    except yaml.YAMLError:
        draft.problems.append(Problem(file.name, 1, "文件里有不是文字的内容", "请用文本编辑器另存为 UTF-8"))
    except RecursionError:
        draft.problems.append(Problem(file.name, 1, "有一段引用了它自己", "请去掉 & 和 * 引用，照实写出来"))
    finally:
        loader.dispose()


def _value(loader: yaml.CSafeLoader, node: yaml.Node, path: Location, file: str, draft: Draft) -> Any:
    draft.lines.setdefault(path, (file, node.start_mark.line + 1))
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*path, index), file, draft) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        mapping: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = _key(key_node)
            if key in mapping:
                draft.problems.append(
                    Problem(file, key_node.start_mark.line + 1, f"{key} 在这里写了两次", "请只留一处")
                )
                continue
            draft.lines[(*path, key)] = (file, key_node.start_mark.line + 1)
            mapping[key] = _value(loader, value_node, (*path, key), file, draft)
        return mapping
    try:
        return loader.construct_object(node)
    except ValueError:
        line = node.start_mark.line + 1
        draft.problems.append(Problem(file, line, f"读不懂 {node.value}（没有这一天，或不是数）", "请改正"))
        return None


def _key(node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else "（不是一个词）"


def build(draft: Draft) -> County | None:
    """Return the county, or None with the reasons in ``draft.problems``."""
    if draft.problems:
        return None
    try:
        return County.model_validate(draft.values)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            path: Location = tuple(part for part in detail["loc"] if part != "[key]")
            message, remedy = _in_chinese(detail["type"], path, dict(detail.get("ctx", {})), detail["input"])
            draft.problems.append(draft.problem(path, message, remedy))
        return None


_TYPE_MESSAGES: Mapping[str, tuple[str, str]] = {
    "string": ("应当是一段文字", "代码和编号要加引号"),
    "int": ("应当是整数", "例如 6"),
    "bool": ("应当是是非", "请写 true 或 false"),
    "date": ("应当是日期", "例如 2026-09-30"),
    "tuple": ("应当是一列值", "请写成 [甲, 乙]，或每行一个“- ”"),
    "list": ("应当是一列值", "请写成 [甲, 乙]，或每行一个“- ”"),
    "dict": ("应当是“键: 值”", "请对照 deploy/counties/341722 的同名文件"),
    "model": ("应当是“键: 值”", "请对照 deploy/counties/341722 的同名文件"),
}
"""Message and remedy by the first word of pydantic's error type."""


def _in_chinese(kind: str, path: Location, context: Mapping[str, object], given: object) -> tuple[str, str]:
    name = ".".join(str(part) for part in path)
    match kind:
        case "missing":
            return f"缺少 {name}", "请补上"
        case "extra_forbidden":
            return f"不认识的键 {name}", "请检查拼写，或删去"
        case "enum" | "literal_error":
            return f"{name} 的值不在允许的范围内", _suggestion(str(context.get("expected", "")), given)
        case "string_pattern_mismatch":
            return f"{name} 的写法不对", f"应符合 {context.get('pattern', '')}"
        case _:
            texts = _TYPE_MESSAGES.get(kind.partition("_")[0])
            if texts is None:
                return f"{name} 的写法不对", "请对照 deploy/counties/341722 的同名文件"
            return f"{name} {texts[0]}", texts[1]


def _suggestion(expected: str, given: object) -> str:
    """Return the values that could be meant: similar ones, else all allowed ones."""
    allowed = re.findall("'([^']+)'", expected)
    near = get_close_matches(str(given), allowed, 3)
    return f"是不是 {'、'.join(near)}" if near else f"可以写 {'、'.join(allowed)}"
