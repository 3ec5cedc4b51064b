"""`hutong act` and `hutong submit` send complete messages, and nothing that must not leave the unit."""

import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from typer.testing import CliRunner

from cli import action_sender, submit
from cli.main import app
from cli.session import CommandError, InstallationSession
from client.kafka_client import Record
from contracts.child_number import child_id, format_child_number
from contracts.intake import Action, Begin
from contracts.vocabulary import Verb
from services.intake.domain.action import find_refusal
from services.intake.parsers import Parsers
from tests.county import demo_county
from tests.intake.harness import NOON, an_id

CHILD, REFERRAL, FINDING = an_id("child"), an_id("referral"), an_id("finding")
MZJ = ["--unit", "民政局", "--role", "county_civil_affairs"]
AT = ["--child", str(CHILD), "--referral", str(REFERRAL)]
ARGUMENTS: dict[str, list[str]] = {
    "report": ["--finding", "unattended"],
    "phone-report": [*AT, "--station", "110", "--reached", "--at", "2026-11-23T11:30:00"],
    "accept": AT,
    "start": AT,
    "return": [*AT, "--reason", "not_my_duty"],
    "reroute": [*AT, "--to-unit", "公安局"],
    "extend": [*AT, "--days", "5", "--note", "家长在外地"],
    "result": [*AT, "--result", "resolved"],
    "withdraw": [*AT, "--note", "误报"],
    "inform-reporter": [*AT, "--channel", "phone"],
    "close": [*AT, "--channel", "phone"],
    "reopen": [*AT, "--note", "又有新情况"],
    "contact": ["--child", str(CHILD), "--reached"],
    "visit": ["--child", str(CHILD), "--at-residence"],
    "verify": ["--child", str(CHILD), "--outcome", "confirmed", "--fact", "school_grade=3", "--fact", "orphan=false"],
    "confirm": ["--child", str(CHILD), "--proposal", str(an_id("proposal"))],
    "decline": ["--child", str(CHILD), "--proposal", str(an_id("proposal"))],
    "merge": ["--child", str(CHILD), "--other", str(an_id("other"))],
    "split": ["--child", str(CHILD), "--record", str(an_id("record"))],
}


class Client:
    """A client that records what is sent, and answers it as intake would."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.sent: list[tuple[str, str, Any]] = []
        self.outcome = "taken"
        self._new: list[Record] = []

    def send(self, topic: str, kind: str, key: str, body: Any, *, ce_id: str | None = None) -> str:
        self.sent.append((topic, kind, body))
        ce_id = ce_id or str(an_id("sent", len(self.sent)))
        if kind == "action.Action.v1":
            answered = {"ce_id": ce_id, "outcome": self.outcome, "finding": None, "message": "", "remedy": ""}
            self._new.append(self._record("intake.ActionAnswered.v1", answered))
        if kind == "department.End.v1":
            counts = dict.fromkeys(("accepted", "accepted_with_drops", "unchanged", "disappeared"), 0)
            problem: dict[str, Any] = {
                "row": 2, "column": "姓名", "code": "too_long", "message": "内容过长。", "remedy": "请核对。",
                "excerpt": "", "refused": "cell",
            }  # fmt: skip
            answer = {"submission": body["submission"], "outcome": self.outcome, "rows": 1, "refused": 1, **counts}
            self._new.append(self._record("intake.SubmissionAnswered.v1", answer | {"problems": [problem]}))
        return ce_id

    def flush(self) -> None:
        pass

    def read_new(self, topic: str) -> Iterator[Record]:
        new, self._new = self._new, []
        yield from new

    def _record(self, kind: str, body: Any) -> Record:
        return Record("receipt", 0, 0, "", {"ce_type": kind, "ce_id": str(an_id("answer", len(self.sent)))}, body)


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    """Return every client that a command opened, the last one last."""
    opened: list[Client] = []

    class FakeSession(InstallationSession):
        def __init__(self, home: Path) -> None:
            pass

        def county(self, *_: object) -> Any:
            return demo_county()

        @contextmanager
        def client(self, user: str) -> Iterator[Any]:
            opened.append(Client(user))
            yield opened[-1]

    monkeypatch.setattr(action_sender, "InstallationSession", FakeSession)
    monkeypatch.setattr(submit, "InstallationSession", FakeSession)
    return opened


def run(*arguments: str, stdin: str | None = None) -> None:
    """Run one command as it is typed, and raise its own errors."""
    done = CliRunner().invoke(app, list(arguments), input=stdin)
    if done.exception is not None:
        raise done.exception


def acted(clients: list[Client], *arguments: str, stdin: str | None = None) -> Action:
    run("act", *arguments, stdin=stdin)
    [(_, kind, body)] = clients[-1].sent
    assert kind == "action.Action.v1"
    return Action.model_validate(body)


@pytest.mark.parametrize("verb", [verb.value for verb in Verb])
def test_every_verb_has_a_command_that_sends_all_it_needs(clients: list[Client], verb: str) -> None:
    action = acted(clients, verb, *MZJ, *ARGUMENTS[verb])

    sender = Parsers(demo_county()).sender("341722-mzj")
    assert action.verb == verb
    assert (
        find_refusal(action, sender, on=NOON.date(), call_date=None if action.at is None else action.at.date()) is None
    )


def test_a_call_is_recorded_in_the_countys_time(clients: list[Client]) -> None:
    action = acted(clients, "phone-report", *MZJ, *ARGUMENTS["phone-report"])

    assert action.at == datetime.fromisoformat("2026-11-23T11:30:00+08:00")


def test_a_call_about_a_child_who_has_no_file_yet_names_the_report(clients: list[Client]) -> None:
    action = acted(clients, "phone-report", *MZJ, "--finding", str(FINDING), "--station", "110", "--no-reached")

    assert (action.child, action.finding, action.reached) == (None, FINDING, False)


def test_a_report_states_the_call_and_the_level(clients: list[Client]) -> None:
    action = acted(
        clients, "report", *MZJ, "--finding", "unattended", "--level", "L0", "--station", "110",
        "--at", "2026-11-23T11:30:00", "--fact", "lives_alone=true", "--on", "2026-11-23",
    )  # fmt: skip

    assert (action.level, action.station, action.on) == ("L0", "110", NOON.date())
    assert action.facts == {"lives_alone": True}


def test_a_childs_identity_can_be_read_from_standard_input(clients: list[Client]) -> None:
    action = acted(clients, "report", *MZJ, *ARGUMENTS["report"], "--identity", "-", stdin="name=例小明\nphone=1\n")

    assert action.identity == {"name": "例小明", "phone": "1"}


def test_a_smaller_place_acts_through_its_parent(clients: list[Client]) -> None:
    action = acted(clients, "report", "--unit", "341722-school1", "--role", "teacher", "--finding", "unattended")

    assert clients[-1].user == "341722-jtj"
    assert action.place == "341722-school1"


def test_the_ledger_is_closed_without_a_referral(clients: list[Client]) -> None:
    action = acted(clients, "close", *MZJ, "--child", str(CHILD), "--note", "家庭已好转")

    assert (action.referral, action.note) == (None, "家庭已好转")


def test_a_refusal_is_one_sentence_with_the_remedy(clients: list[Client], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "__init__", refusing(Client.__init__))

    with pytest.raises(CommandError, match="没有收"):
        run("act", "accept", *MZJ, *AT)


def refusing(make: Any) -> Any:
    def made(self: Client, user: str) -> None:
        make(self, user)
        self.outcome = "refused"

    return made


# ------------------------------------------------------------------ submit


def a_book(folder: Path, columns: list[str], *, from_1904: bool = False) -> Path:
    book = openpyxl.Workbook()
    if from_1904:
        book.epoch = CALENDAR_MAC_1904
    page: Any = book.active
    page.append(columns)
    page.append(["例小明", 40613, *("无" for _ in columns[2:])])
    path = folder / "一.xlsx"
    book.save(path)
    return path


def submitted(clients: list[Client], path: Path, *more: str, coverage: Sequence[str] = ("--full",)) -> Begin:
    run("submit", str(path), "--unit", "教体局", "--period", "2026H2", *coverage, *more)
    _, kind, body = clients[-1].sent[0]
    assert kind == "department.Begin.v1"
    assert clients[-1].sent[-1][1] == "department.End.v1"
    return Begin.model_validate(body)


def test_a_workbook_is_sent_unchanged_and_its_errors_are_marked_in_a_copy(
    clients: list[Client], tmp_path: Path
) -> None:
    begin = submitted(clients, a_book(tmp_path, ["姓名", "出生日期"], from_1904=True))

    assert (begin.columns, begin.rows, begin.coverage, begin.date_1904) == (("姓名", "出生日期"), 1, "full", True)
    marked = tmp_path / "一.错误.xlsx"
    assert "内容过长" in str(openpyxl.load_workbook(marked)["需要更正的行"]["D2"].value)
    assert stat.S_IMODE(marked.stat().st_mode) == 0o600


def test_the_same_file_as_a_delta_is_another_submission(clients: list[Client], tmp_path: Path) -> None:
    path = a_book(tmp_path, ["姓名", "出生日期"])
    whole, repeated, part = (submitted(clients, path, coverage=[option]) for option in ("--full", "--full", "--delta"))

    assert whole.submission == repeated.submission != part.submission
    assert not whole.date_1904
    assert (whole.coverage, part.coverage) == ("full", "delta")


def test_nothing_is_sent_until_the_coverage_is_stated(clients: list[Client], tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"没有发出。请加上 --full（.*）或 --delta（.*）。$"):
        submitted(clients, a_book(tmp_path, ["姓名", "出生日期"]), coverage=())
    assert clients == []


def test_an_error_sheet_is_not_accepted_as_a_complete_list(clients: list[Client], tmp_path: Path) -> None:
    """It holds only the rows that need correction: as a complete list it would make all others disappear."""
    submitted(clients, a_book(tmp_path, ["姓名", "出生日期"]))
    clients.clear()
    marked = tmp_path / "一.错误.xlsx"

    with pytest.raises(CommandError, match="不是完整名单，没有发出"):
        submitted(clients, marked)
    assert clients == []
    assert submitted(clients, marked, coverage=()).coverage == "delta"


@pytest.mark.parametrize("header", ["有无前科", "行政处罚", "前　科", "不\u200b起诉"])
def test_nothing_of_a_file_with_a_forbidden_column_is_sent(clients: list[Client], tmp_path: Path, header: str) -> None:
    with pytest.raises(CommandError, match="没有发出"):
        submitted(clients, a_book(tmp_path, ["姓名", "出生日期", header]))
    assert clients == []


@pytest.mark.parametrize("arguments", [["--dataset", "hukou"], ["--dataset", "x"], ["--period", "２０２６H2"]])
def test_a_file_with_an_unknown_dataset_or_period_is_not_sent(
    clients: list[Client], tmp_path: Path, arguments: list[str]
) -> None:
    with pytest.raises(CommandError):
        submitted(clients, a_book(tmp_path, ["姓名", "出生日期"]), *arguments)
    assert clients == []


def test_a_receipt_is_shown_even_if_the_marked_copy_cannot_be_written(clients: list[Client], tmp_path: Path) -> None:
    """The copy's name would exceed the limit of the file system."""
    book = a_book(tmp_path, ["姓名", "出生日期"])
    path = book.rename(tmp_path / f"{'a' * 249}.xlsx")

    with pytest.raises(CommandError, match="结果见上"):
        submitted(clients, path)


def test_the_marked_copy_is_not_written_through_a_link(clients: list[Client], tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (tmp_path / "一.错误.xlsx").symlink_to(secret)

    submitted(clients, a_book(tmp_path, ["姓名", "出生日期"]))

    assert secret.read_text() == "secret"
    assert (tmp_path / "一.错误.xlsx").is_symlink()
    assert "内容过长" in str(openpyxl.load_workbook(tmp_path / "一.错误2.xlsx")["需要更正的行"]["D2"].value)


def test_a_child_is_named_by_its_short_number_or_its_id(clients: list[Client]) -> None:
    number = "482109375516"
    for typed in (format_child_number(number), str(child_id("341722", number))):
        run("act", "contact", "--unit", "仁里镇", "--role", "child_director", "--child", typed, "--reached")
        assert clients[-1].sent[0][2]["child"] == str(child_id("341722", number))


@pytest.mark.parametrize("verb", ["merge", "split"])
def test_the_other_file_is_named_by_a_short_number_or_an_id_too(clients: list[Client], verb: str) -> None:
    number, other = "482109375516", str(child_id("341722", "482109375517"))
    for typed in (format_child_number("482109375517"), other):
        run("act", verb, "--unit", "民政局", "--role", "county_civil_affairs",
            "--child", format_child_number(number), "--other", typed)  # fmt: skip
        assert clients[-1].sent[0][2]["other"] == other
