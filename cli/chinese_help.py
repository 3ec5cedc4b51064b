"""The help of the commands in Chinese, complete on a narrow terminal.

Typer's own help has English headings and types, and it cuts Chinese texts off because it breaks lines at spaces only.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, get_args
from uuid import UUID

import typer
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from cli.child_reference import ChildReference

TYPES: Mapping[type, str] = {
    bool: "",  # a flag takes no value
    int: "整数",
    str: "文字",
    Path: "路径",
    UUID: "编号",
    datetime: "年-月-日",
    ChildReference: "儿童编号",
}
"""What is written after an option with a value of the type."""
SHORT_LIST = 8
"""A longer list of codes is not written out."""

WIDTH = 23
"""The widest that anything left of the help texts may be, in columns of the terminal."""

_Callback = TypeVar("_Callback", bound=Callable[..., Any])


class ChineseTyper(typer.Typer):
    """A Typer application whose commands have Chinese help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=_Group, options_metavar="[选项]", subcommand_metavar="命令 ……", **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[_Callback], _Callback]:
        """Register a command, as ``typer.Typer.command`` does."""
        return super().command(name, cls=_Command, options_metavar="[选项]", **settings)


class _Command(TyperCommand):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        _print_help(self, ctx)


class _Group(TyperGroup):
    def format_help(self, ctx: Any, formatter: Any) -> None:
        _print_help(self, ctx)
        _print_section("命令", [(_name(name), Text(command.help or "")) for name, command in self.commands.items()])


def _print_help(command: TyperCommand | TyperGroup, ctx: Any) -> None:
    usage = " ".join(("用法：" + ctx.command_path, *command.collect_usage_pieces(ctx)))
    Console().print(f"\n {usage}\n\n {command.help}\n", markup=False, highlight=False)
    arguments = [each for each in command.params if isinstance(each, TyperArgument)]
    options = [each for each in command.params if isinstance(each, TyperOption)]
    _print_section("参数", [(_mark(each), _name(str(each.metavar)), _text(each)) for each in arguments])
    rows = [(_mark(each), _names(each), Text(_value(each), "yellow"), _text(each)) for each in options]
    _print_section("选项", [*rows, (Text(), _name("--help"), Text(), Text("显示这份说明。"))])


def _print_section(title: str, rows: Sequence[tuple[Text, ...]]) -> None:
    if not rows:
        return
    table = Table.grid(padding=(0, 1), expand=True)
    for _ in rows[0][:-1]:
        table.add_column(overflow="fold", max_width=WIDTH)
    table.add_column(overflow="fold", ratio=1)
    for row in rows:
        table.add_row(*row)
    Console().print(Panel(table, title=title, title_align="left", border_style="dim"))


def _name(text: str) -> Text:
    return Text(text, "bold cyan")


def _names(option: TyperOption) -> Text:
    return _name("，".join((*option.opts, *option.secondary_opts)))


def _mark(param: TyperArgument | TyperOption) -> Text:
    return Text("*" if param.required else "", "red")


def _value(option: TyperOption) -> str:
    """Return what is written after the option."""
    if option.metavar is not None:
        return option.metavar
    annotation = option.type_descriptor.annotation
    [element] = get_args(annotation) or [annotation]
    if not issubclass(element, Enum):
        return TYPES[element]
    codes = "|".join(member.value for member in element)
    if len(element) > SHORT_LIST:
        return "代码"
    return codes if len(codes) <= WIDTH else codes.replace("|", "\n")


def _text(param: TyperArgument | TyperOption) -> Text:
    default = param.default.value if isinstance(param.default, Enum) else param.default
    note = "［必填］" if param.required else f"［默认 {default}］" if default else ""
    return Text(f"{param.help or ''}{note}")
