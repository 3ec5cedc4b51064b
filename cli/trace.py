"""`hutong trace` shows one child's history from the topics, from the row in the workbook to the closed referral."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console

from cli import labels
from cli.child_reference import ChildReference, child_numbers, child_reference
from cli.session import CommandError, InstallationSession
from client.kafka_client import KafkaClient, Record
from contracts import topics
from contracts.county import County
from contracts.eligibility import ChildAssessed, Verdict
from contracts.vocabulary import COUNTY_TIME, Answer, Transition
from services.eligibility import labels as reasons


@dataclass(slots=True)
class CaseHistory:
    """The events of one child, by what they are about."""

    child: UUID
    records: list[Record] = field(default_factory=list)
    findings: list[Record] = field(default_factory=list)
    files: list[Record] = field(default_factory=list)
    reviews: list[Record] = field(default_factory=list)
    answers: list[Record] = field(default_factory=list)
    cases: list[Record] = field(default_factory=list)
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Referral -> its newest queue entry, which states its basis."""
    disclosures: list[Record] = field(default_factory=list)
    notices: list[Record] = field(default_factory=list)
    numbers: dict[str, str] = field(default_factory=dict)
    """Id -> short number of each child that the history names."""

    def number_of(self, child: str) -> str:
        """Return a child's short number, or the id if it has no file."""
        return self.numbers.get(child, child)


def trace(
    context: typer.Context,
    about: Annotated[
        ChildReference, typer.Argument(metavar="编号", parser=child_reference, help="儿童、转介或报告的编号。")
    ],
) -> None:
    session = InstallationSession(context.obj)
    county = session.county()
    child, records = asyncio.run(_child_of(session, about.resolve(county.code)))
    with session.reader() as client:
        history = read_history(client, county, child, records)
    history.numbers = asyncio.run(child_numbers(session.fetch, children_in(history)))
    console = Console()
    for line in render(history, county):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


async def _child_of(session: InstallationSession, about: UUID) -> tuple[UUID, set[str]]:
    """Return the child that an id belongs to, and the source records of the child's file.

    Raises:
        CommandError: no child, referral or report has this id.
    """
    children = await session.fetch(
        "SELECT child_id FROM registry.child WHERE child_id = $1"
        " UNION ALL SELECT child_id FROM registry.finding WHERE finding_id = $1"
        " UNION ALL SELECT child FROM referral.referral WHERE id = $1 LIMIT 1",
        about,
    )
    if not children:
        raise CommandError(f"没有编号为 {about} 的儿童、转介或报告。", "编号可从 hutong queue 或 hutong ledger 里找。")
    child = children[0]["child_id"]
    # A merged file's history continues in the file that absorbed it.
    rows = await session.fetch(
        "WITH RECURSIVE up AS (SELECT child_id, absorbed_by FROM registry.child WHERE child_id = $1"
        " UNION ALL SELECT c.child_id, c.absorbed_by FROM registry.child c JOIN up ON c.child_id = up.absorbed_by)"
        " SELECT child_id FROM up WHERE absorbed_by IS NULL",
        child,
    )
    survivor: UUID = rows[0]["child_id"] if rows else child
    records = await session.fetch("SELECT record_id FROM registry.record WHERE child_id = $1", survivor)
    return survivor, {str(row["record_id"]) for row in records}


def read_history(client: KafkaClient, county: County, child: UUID, records: set[str]) -> CaseHistory:
    """Collect the child's events from the topics, each event once."""
    history = CaseHistory(child)
    key = str(child)
    seen: set[str] = set()

    def fresh(name: str, keep: Callable[[Record], bool]) -> Iterator[Record]:
        for record in client.read_new(name):
            if record.body is not None and record.kind != "clock.DayWatermark.v1" and keep(record):
                if record.ce_id not in seen:
                    seen.add(record.ce_id)
                    yield record

    def of_child(record: Record) -> bool:
        return bool(record.body.get("child") == key)

    def of_either(record: Record) -> bool:
        return key in (record.body.get("child"), record.body.get("other"))

    history.records = list(fresh(topics.INTAKE_RECORD.name, lambda record: record.body.get("record") in records))
    history.files = list(fresh(topics.REGISTRY_CHILD.name, of_child))
    history.findings = list(fresh(topics.REGISTRY_FINDING.name, of_child))
    history.reviews = list(fresh(topics.REGISTRY_REVIEW.name, of_either))
    history.answers = list(fresh(topics.ELIGIBILITY_CHILD.name, of_child))
    for name in (topics.REFERRAL_CASE.name, topics.REFERRAL_RESTRICTED.name):
        history.cases += fresh(name, of_child)
    referrals = {record.body["referral"] for record in history.cases if record.body.get("referral")}
    about = referrals | {record.body["proposal"] for record in history.cases if record.body.get("proposal")}
    for unit in county.units:
        families = unit.families
        for topic in (topics.QUEUE, topics.RESTRICTED_QUEUE):
            if topic.family in families:
                for record in fresh(topic.name_for(unit.id), lambda record: record.key in referrals):
                    history.entries[record.key] = record.body
        for topic in (topics.DISCLOSURE, topics.RESTRICTED_DISCLOSURE):
            if topic.family in families:
                history.disclosures += fresh(topic.name_for(unit.id), lambda record: record.key in referrals)
        for topic in (topics.INBOX, topics.RESTRICTED_INBOX):
            if topic.family in families:
                history.notices += fresh(
                    topic.name_for(unit.id),
                    lambda record: key == record.body.get("child") or record.body.get("subject") in about,
                )
    return history


def children_in(history: CaseHistory) -> set[str]:
    """Return the ids of the child and of every child that its reviews, merges and splits name."""
    bodies = [record.body for record in (*history.findings, *history.reviews)]
    named = {body.get(name) for body in bodies for name in ("child", "other", "from_child")}
    return {str(history.child)} | {str(child) for child in named if child}


def render(history: CaseHistory, county: County) -> Iterator[str]:
    """Yield the history line by line, for a reader who has not seen the system."""
    yield f"儿童 {history.number_of(str(history.child))}（档案 {history.child}）"
    yield "（姓名、证号只在登记服务里加密保存，这里看不到。）"
    yield from _section("一、谁报了什么（接收 intake）", _render_records(history, county))
    yield from _section("二、有人发现了什么（优先通道）", _render_findings(history, county))
    yield from _section("三、一人一档（登记 registry）", _render_file(history, county))
    yield from _section("四、能享受什么、有什么不对（评估 eligibility）", _render_answers(history, county))
    yield from _section("五、转给谁、什么时候办完（转介 referral）", _render_cases(history, county))
    yield from _section("六、告诉了谁（通知 notify）", _render_notices(history, county))


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    content = list(lines)
    yield ""
    yield title
    yield from (f"  {line}" for line in content or ["没有"])


def _render_records(history: CaseHistory, county: County) -> Iterator[str]:
    for record in history.records:
        body = record.body
        what = labels.dataset(body["dataset"], county)
        if record.kind == "intake.RecordDisappeared.v1":
            unit = labels.unit(body["unit"], county)
            yield f"{body['period']}　{unit}的《{what}》：本期名单未见（线索，不等于离开）"
            continue
        facts = "，".join(labels.fact(name, value, county) for name, value in body["facts"].items())
        scope = f"{body['period']} 整份文件" if body["submission"] else "单行"
        flags = f"　注意：{'、'.join(map(labels.code, body['flags']))}" if body.get("flags") else ""
        unit = labels.unit(body["unit"], county)
        yield f"{body['valid_on']}　{unit}《{what}》（{scope}）：{facts or '只有身份信息'}{flags}"


def _render_findings(history: CaseHistory, county: County) -> Iterator[str]:
    for record in history.findings:
        body = record.body
        if record.kind == "registry.FindingAssigned.v1":
            findings = labels.findings(body["findings"])
            who = f"{labels.unit(body['place'] or body['unit'], county)}（{labels.role(body['role'], county)}）"
            file_state = "儿童尚未建档" if body["candidate"] else "儿童已有档案"
            yield f"{_when(record)}　{who}报告：{findings}；{file_state}"
        elif record.kind == "registry.FileReassigned.v1":
            merged = history.number_of(body["from_child"])
            yield f"{body['on']}　档案 {merged} 并入这一份（{labels.code(body['reason'])}）"


def _render_file(history: CaseHistory, county: County) -> Iterator[str]:
    if not history.files:
        return
    first, last = history.files[0], max(history.files, key=lambda record: record.body["child_version"])
    sources = "、".join(labels.dataset(source, county) for source in last.body["sources"]) or "只有报告"
    yield f"{_when(first)}　建档；到现在 {last.body['child_version']} 件事，来源：{sources}"
    for fact in last.body["facts"]:
        if fact["chosen"]:
            seen = "，当场核实" if fact["verified"] else ""
            source = f"{labels.unit(fact['unit'], county)}，{fact['valid_on']}{seen}"
            yield f"{labels.fact(fact['name'], fact['value'], county)}（{source}）"
    for record in history.reviews:
        body = record.body
        if record.kind == "registry.ReviewRequested.v1":
            evidence = "、".join(map(labels.code, (*body["evidence"], *body["conflicts"])))
            # The review may have been requested about the other file.
            other = body["child"] if body["other"] == str(history.child) else body["other"]
            yield f"{body['on']}　请人判断：与 {history.number_of(other)} 是不是同一名儿童（{evidence}）"
        elif record.kind == "registry.ReviewResolved.v1":
            yield f"{body['on']}　{labels.unit(body['unit'], county)}判断：{labels.code(body['outcome'])}"
        elif record.kind == "registry.FactConflictFound.v1":
            units = "、".join(labels.unit(unit, county) for unit in body["units"])
            yield f"{body['on']}　{labels.fact_name(body['name'])}各说不一：{units}"
        elif record.kind == "registry.ActionRefused.v1":
            yield _refused(body, county, f"{body['on']}")


def _render_answers(history: CaseHistory, county: County) -> Iterator[str]:
    if not history.answers:
        return
    assessments = [ChildAssessed.model_validate(record.body) for record in history.answers]
    before: Answer | None = None
    for assessed in sorted(assessments, key=lambda each: (each.child_version, each.assessment)):
        migrant = assessed.migrant
        if migrant.answer is not before:
            yield f"{assessed.on}　是不是流动儿童：{labels.answer(migrant.answer)}（{_why(migrant, county)}）"
            before = migrant.answer
    last = max(assessments, key=lambda each: (each.child_version, each.assessment))
    yield from (f"依据：{line}" for line in _cited(last.migrant.citations, county))
    for verdict in last.items:
        item = county.item(verdict.subject)
        held = f"，{verdict.until} 前不变" if verdict.until else ""
        title = item.title if item else ""
        yield f"{verdict.subject} {title}：{labels.answer(verdict.answer)}{held}（{_why(verdict, county)}）"
        if verdict.answer is Answer.YES:
            own = tuple(code for code in verdict.citations if code not in last.migrant.citations)
            yield from (f"　　依据：{line}" for line in _cited(own, county))


def _render_cases(history: CaseHistory, county: County) -> Iterator[str]:
    shown: set[str] = set()
    for record in sorted(
        history.cases, key=lambda case: (case.headers.get("ce_time", ""), case.body.get("version", 0))
    ):
        body = record.body
        when = _when(record)
        who = labels.unit(body["actor_unit"], county) if body.get("actor_unit") else "系统自动："
        if record.kind == "referral.ReferralChanged.v1":
            if body["referral"] not in shown:
                shown.add(body["referral"])
                yield from _render_opening(history, county, body)
            yield f"　{when}　{who}{_transition(body, county)}"
        elif record.kind == "referral.ProposalMade.v1":
            what = _route(body["route"], county) if body["route"] else labels.ledger(body["ledger_reasons"])
            until = _moment(body["decide_by"])
            unit = labels.unit(body["unit"], county)
            asked = f"提请{unit}{labels.asked(body['subject'])}"
            yield f"{when}　{asked}：{labels.code(body['subject'])}（{what}），期限 {until}"
        elif record.kind == "referral.ProposalEnded.v1":
            outcome = labels.proposal_outcome(body["subject"], body["outcome"])
            yield f"{when}　{who.rstrip('：')}：{labels.code(body['subject'])}，{outcome}"
        elif record.kind == "referral.LedgerEntryChanged.v1":
            yield f"{when}　重点关爱台账{labels.code(body['change'])}（{labels.ledger(body['reasons'])}）"
        elif record.kind == "referral.DutyChanged.v1":
            duty = f"{labels.duty(body['duty_kind'])} {body['period']}"
            yield f"{when}　{duty}：{labels.code(body['change'])}，期限 {body['due_on']}"
        elif record.kind == "referral.ActionRefused.v1":
            yield _refused(body, county, when)
    for record in history.disclosures:
        unit = labels.unit(record.body["unit"], county)
        yield f"{_when(record)}　向{unit}提供信息（加密）：{labels.fields(record.body['fields'])}"


def _refused(body: dict[str, Any], county: County, when: str) -> str:
    unit = labels.unit(body["unit"], county)
    return f"{when}　{unit}的“{labels.verb(body['verb'])}”没有办成：{labels.refusal(body['code'])}"


def _route(route: str, county: County) -> str:
    entry = county.route(route)
    return f"{route} {entry.title}" if entry else route


def _render_opening(history: CaseHistory, county: County, body: dict[str, Any]) -> Iterator[str]:
    yield f"转介 {body['referral']}　{_route(body['route'], county)}　{body['level']}"
    entry = history.entries.get(body["referral"], {})
    yield from (f"　　依据：{basis['place']}“{basis['phrase']}”" for basis in entry.get("basis", ()))


def _transition(body: dict[str, Any], county: County) -> str:
    notes = []
    if body["transition"] in ("sent", "rerouted"):
        terms = (("签收期限", body["accept_by"]), ("结果期限", body["result_by"]))
        notes += [f"{name} {_moment(term)}" for name, term in terms if term]
    if body["reason"]:
        notes.append(labels.return_reason(body["reason"]))
    if body.get("cause"):
        notes.append(labels.code(body["cause"]))
    if body.get("overdue"):
        notes.append(labels.code(body["overdue"]))
    if body["result"] and body["transition"] == Transition.RESULT_REPORTED:
        notes.append(labels.result(body["result"]))
    if body["escalated_to"]:
        notes.append(f"提级到{labels.unit(body['escalated_to'], county)}")
    more = f"（{'，'.join(notes)}）" if notes else ""
    unit, state = labels.unit(body["to_unit"], county), labels.state(body["state"])
    return f"{labels.transition(body['transition'])} → {unit}，{state}{more}"


def _render_notices(history: CaseHistory, county: County) -> Iterator[str]:
    for record in sorted(history.notices, key=lambda record: record.headers.get("ce_time", "")):
        yield f"{record.body['on']}　{labels.unit(record.body['unit'], county)}：{record.body['text']}"


def _why(verdict: Verdict, county: County) -> str:
    shown = [reasons.reason_text(reason.code, reason.params, county) for reason in verdict.reasons]
    missing = [
        labels.fact_name(absent.fact) if absent.fact else reasons.term_label(absent.criterion or "", county)
        for absent in verdict.missing
    ]
    return "；".join(shown) + (f"；还缺 {'、'.join(missing)}" if missing else "")


def _cited(codes: Sequence[str], county: County) -> Iterator[str]:
    for code in codes:
        item, citation = county.item(code), reasons.find_citation(code, county)
        if item is not None:
            yield f"{item.citation.place}“{item.citation.phrase}”"
        elif citation is not None:
            yield f"{citation.where}“{citation.phrase}”" if citation.phrase else citation.where
        else:
            yield code


def _when(record: Record) -> str:
    return _moment(record.headers["ce_time"])


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(COUNTY_TIME):%Y-%m-%d %H:%M}"
