"""`hutong`: what departments, agencies and the ops team do from the command line.

Every error is one sentence with a remedy and an exit code; a stack trace is a defect.
"""

import sys
from pathlib import Path
from typing import Annotated

import asyncpg
import click
import typer
from confluent_kafka import KafkaException

from deploy.commands import act, counties, handover, look, operate
from deploy.commands.house import CommandError, default_home
from deploy.commands.trace import trace
from deploy.county import CountyInvalid
from deploy.demo.plain_client import BrokerRefusedError
from deploy.explain import FactsUnreadable
from deploy.installation import NoInstallationError

app = typer.Typer(
    name="hutong",
    help="护童: 让一个县像一个团队一样照护流动儿童。",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _installation(
    context: typer.Context,
    home: Annotated[Path | None, typer.Option("--home", help="安装所在的文件夹；默认是 make up 建的那一个。")] = None,
) -> None:
    context.obj = home or default_home()


app.command("submit", help="报送一份工作簿（.xlsx 或 .csv），等回执，把标出错误的副本写在旁边。")(handover.submit)
app.add_typer(act.app, name="act", help="做一件事：报告、签收、退回、反馈、联系、走访……")
app.command("explain", help="一名（虚构）儿童的全部答案：是、否、未知，理由、依据、有效到哪天。")(look.explain_facts)
app.command("trace", help="一名儿童、一件转介或一个报告，从工作簿的一行到销号的全过程。")(trace)
app.command("queue", help="一个单位的转介队列。")(look.queue)
app.command("inbox", help="一个单位的收件箱。")(look.inbox)
app.command("ledger", help="重点关爱服务对象台账：谁的事、联系和走访到哪一步。")(look.ledger)
app.command("status", help="五个服务：还差多少没读、没发、被搁置，走到哪一天。")(operate.status)
app.command("parked", help="被搁置的事件：在哪个服务、哪个键、为什么。")(operate.parked)
app.command("replay", help="按原来的顺序放行被搁置的事件，按今天来判断。")(operate.replay)
app.command("topics", help="全部主题：键、分区、谁写、谁读；加 --check 与消息服务器核对。")(operate.topics)
app.add_typer(counties.app, name="county", help="县的数据：检查、启用。")


def main() -> None:
    """Entry point of the console script."""
    try:
        code = app(standalone_mode=False)
    except CommandError as refused:
        _say(str(refused))
        sys.exit(refused.code)
    except click.exceptions.Abort:
        _say("已中断。")
        sys.exit(130)
    except click.ClickException as error:
        _say(f"{error.format_message()} 用 hutong --help 看用法。")
        sys.exit(2)
    except (CountyInvalid, FactsUnreadable) as error:
        _say(str(error))
        sys.exit(1)
    except NoInstallationError as error:
        _say(f"找不到安装：{error}。请先运行 make up，或者用 --home 指明文件夹。")
        sys.exit(1)
    except (KafkaException, BrokerRefusedError) as error:
        cause = error.args[0].str() if hasattr(error.args[0], "str") else error.args[0]
        _say(f"消息服务器没有答应：{cause}。请用 hutong status 看它是否在运行。")
        sys.exit(3)
    except (asyncpg.PostgresError, OSError) as error:
        _say(f"读不到数据库或文件：{error}。请确认安装正在运行（make up）。")
        sys.exit(3)
    sys.exit(code if isinstance(code, int) else 0)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
