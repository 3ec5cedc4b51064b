"""The `hutong` command, which departments, agencies and the ops team use.

Every error is one sentence with a remedy and an exit code; a stack trace is a defect.
"""

import errno
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import asyncpg
import typer
from confluent_kafka import KafkaException
from typer.exceptions import Abort, TyperException

from cli import actions, county, operations, submit, views
from cli.chinese_help import ChineseTyper
from cli.facts_file import FactsUnreadable
from cli.session import EXIT_UNREACHABLE, START_REMEDY, CommandError
from cli.trace import trace
from client.kafka_client import BrokerRefusedError
from county.problem import CountyInvalid
from deploy.installation import NoInstallationError, UnknownSettingError, UnsupportedFormatError, default_home

INTERRUPTED = "已中断。"
USAGE_ERRORS = {
    r"'(.*?)' is not one of (.*?)\.?$": "“{0}”不在可用的之列（{1}）",
    r"does not match the formats": "日期要写成 2026-11-23 这样",
    r"valid UUID": "编号要照抄，例如 6f0c1b1e-7d0f-4f3a-9a7c-3f2f3d1f7a10",
    r"valid integer": "要写整数",
    r"^No such command (.*?)\. Did you mean (.*)\?": "没有 {0} 这个命令，是不是 {1}",
    r"^No such command (.*?)\.": "没有 {0} 这个命令",
    r"^Missing command": "没有写做哪件事",
    r"^Option (.*?) requires an argument": "{0} 后面还要写一个值",
    r"^Option (.*?) does not take a value": "{0} 后面不要写值",
    r"^Got unexpected extra argument(?:\(s\)|s)? \((.*)\)": "多写了：{0}",
}
"""Pattern of the library's English message -> the Chinese text that a person reads."""

SYSTEM_ERRORS = {
    errno.ENOENT: "找不到",
    errno.EACCES: "没有权限",
    errno.EPERM: "没有权限",
    errno.EISDIR: "是文件夹，不是文件",
    errno.ENOTDIR: "不是文件夹",
    errno.ENOSPC: "磁盘已满",
    errno.EROFS: "只能读，不能写",
}
"""The operating system's reason -> what a person reads."""

app = ChineseTyper(
    name="hutong",
    help="护童: 全县各部门协同关爱保护流动儿童。",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _show_version(requested: bool) -> None:
    if requested:
        print(version("hutong"))
        raise typer.Exit


@app.callback()
def _installation(
    context: typer.Context,
    home: Annotated[Path | None, typer.Option("--home", help="安装所在的文件夹；默认是 make up 建的那一个。")] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="显示版本号。", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = home or default_home()


app.command("submit", help="报送一份工作簿（.xlsx 或 .csv），等回执，把标出错误的副本写在旁边。")(submit.submit)
app.add_typer(actions.app, name="act", help="做一件事：报告、签收、退回、反馈、联系、走访……")
app.command("explain", help="一名（虚构）儿童的全部答案：是、否、未知，理由、依据、有效到哪天。")(views.explain_facts)
app.command("trace", help="一名儿童、一件转介或一个报告，从工作簿的一行到办结的全过程。")(trace)
app.command("queue", help="一个单位的转介队列。")(views.queue)
app.command("inbox", help="一个单位的收件箱。")(views.inbox)
app.command("ledger", help="重点关爱服务对象台账：谁的事、联系和走访到哪一步。")(views.ledger)
app.command("status", help="五个服务：还差多少没读、没发、被搁置，处理到哪一天。")(operations.status)
app.command("parked", help="被搁置的事件：在哪个服务、哪个键、为什么。")(operations.parked)
app.command("replay", help="按原来的顺序放行被搁置的事件，按今天来判断。")(operations.replay)
app.command("topics", help="全部主题：键、分区、谁写、谁读；加 --check 与消息服务器核对。")(operations.topics)
app.add_typer(county.app, name="county", help="县的数据：检查、启用。")


def main() -> None:
    """Run a command and exit, with one sentence for every error."""
    try:
        code = app(standalone_mode=False, prog_name="hutong")
    except CommandError as refused:
        _exit(str(refused), refused.code)
    except Abort:
        _exit(INTERRUPTED, 130)
    except TyperException as error:
        _exit(_usage_error(error), 2)
    except (CountyInvalid, FactsUnreadable) as error:
        _exit(str(error), 1)
    except (UnknownSettingError, UnsupportedFormatError) as error:
        _exit(str(error), 1)
    except NoInstallationError as error:
        if error.damaged:
            _exit(f"{error.damaged} 读不出来。请改好它，或者从备份里恢复。", 1)
        _exit(f"{error.home} 里没有安装。请先运行 make up，或者用 --home 指明文件夹。", 1)
    except (KafkaException, BrokerRefusedError) as error:
        cause = error.args[0].str() if hasattr(error.args[0], "str") else error.args[0]
        _exit(f"消息服务器没有答应：{cause}。{START_REMEDY}", EXIT_UNREACHABLE)
    except asyncpg.PostgresError as error:
        _exit(f"数据库没有答应：{error}。{START_REMEDY}", EXIT_UNREACHABLE)
    except OSError as error:
        _exit(f"{error.filename or '文件'} 用不了{_cause(error)}。请检查它在不在、能不能读写。", 1)
    except KeyboardInterrupt:
        _exit(INTERRUPTED, 130)
    if code == 130:  # how typer passes on a Ctrl-C
        _exit(INTERRUPTED, 130)
    sys.exit(code if isinstance(code, int) else 0)


def _usage_error(error: TyperException) -> str:
    """Return what is wrong with a command line, as one Chinese sentence; the library's message is English."""
    details: Any = error
    path = details.ctx.command_path if getattr(details, "ctx", None) else "hutong"
    match type(error).__name__:
        case "NoArgsIsHelpError":
            return error.format_message()  # the help itself
        case "MissingParameter":
            what = f"缺少 {_parameter_name(details.param)}。"
        case "BadParameter":
            what = f"{_parameter_name(details.param)} 的写法不对：{_in_chinese(error.message)}。"
        case "NoSuchOption":
            what = f"没有 {details.option_name} 这个选项。"
        case _:
            what = f"{_in_chinese(error.message)}。"
    return f"{what}用 {path} --help 看写法。"


def _parameter_name(param: Any) -> str:
    """Return an option's name, or an argument's name as the help shows it."""
    return str(param.opts[0] if param.param_type_name == "option" else param.metavar)


def _in_chinese(message: str) -> str:
    for pattern, chinese in USAGE_ERRORS.items():
        if matched := re.search(pattern, message):
            return chinese.format(*(group.replace("'", "") for group in matched.groups()))
    return message.rstrip(".")


def _cause(error: OSError) -> str:
    """Return the system's reason in Chinese, or the number of any other reason."""
    if error.errno in SYSTEM_ERRORS:
        return f"：{SYSTEM_ERRORS[error.errno]}"
    return f"（错误 {error.errno}）" if error.errno else ""


def _exit(text: str, code: int) -> NoReturn:
    print(text, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
