"""Sends an action of a unit's staff and prints intake's answer."""

import time
import uuid
from enum import StrEnum
from typing import Any

import typer

from cli.child_reference import ChildReference
from cli.session import CommandError, InstallationSession
from client.kafka_client import KafkaClient
from contracts.topics import ACTION, RECEIPT, RESTRICTED_ACTION, RESTRICTED_RECEIPT
from contracts.vocabulary import Verb

RECEIPT_TIMEOUT = 30.0
"""Seconds to wait for an answer."""


def send(context: typer.Context, verb: Verb, unit: str, role: str, *, restricted: bool = False, **fields: Any) -> None:
    """Send the action with the unit's log-in, or its log-in for restricted matters, and wait for intake's answer.

    ``unit``: the acting unit's id, short name or full name. ``fields``: the verb's fields; empty ones are left out.

    Raises:
        CommandError: there is no such unit or log-in, intake refused the action, or no answer came.
    """
    session = InstallationSession(context.obj)
    county = session.county()
    acting = session.unit(county, unit)
    sender = acting.parent or acting.id
    user = f"{sender}-restricted" if restricted else sender
    if restricted and user not in session.installation.users:
        raise CommandError(f"{acting.name}没有限知事项的专人账号。", "请去掉 --restricted，或请有专人账号的单位办理。")
    if acting.parent is not None:
        fields["place"] = fields.get("place") or acting.id
    for name in ("child", "other"):
        if isinstance(fields.get(name), ChildReference):
            fields[name] = fields[name].resolve(county.code)
    if fields.get("to_unit"):
        fields["to_unit"] = session.unit(county, fields["to_unit"]).id
    stated = {name: value for name, value in fields.items() if value not in (None, "")}
    key = str(fields.get("child") or fields.get("referral") or fields.get("finding") or "new")
    action, receipt = (RESTRICTED_ACTION, RESTRICTED_RECEIPT) if restricted else (ACTION, RECEIPT)
    with session.client(user) as client:
        for _ in client.read_new(receipt.name_for(sender)):
            pass  # older answers
        body = _plain({"verb": verb.value, "role": role, **stated})
        ce_id = client.send(action.name_for(sender), "action.Action.v1", key, body)
        client.flush()
        _print_answer(_await_answer(client, receipt.name_for(sender), ce_id))


def _await_answer(client: KafkaClient, receipts: str, ce_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + RECEIPT_TIMEOUT
    while time.monotonic() < deadline:
        for record in client.read_new(receipts):
            answer: dict[str, Any] | None = record.body
            if answer is not None and record.kind == "intake.ActionAnswered.v1" and answer["ce_id"] == ce_id:
                return answer
    raise CommandError("没有等到答复。", "操作已发出，不会丢；请用 hutong status 看 intake 是否在运行。", 3)


def _print_answer(answer: dict[str, Any]) -> None:
    if answer["outcome"] == "refused":
        raise CommandError(f"没有收：{answer['message']}", answer["remedy"])
    report_id = f"，报告编号 {answer['finding']}" if answer.get("finding") else ""
    print(f"已收到（{answer['ce_id']}）{report_id}。办不成的，收件箱里会说明原因。")
    if answer["message"]:
        print(f"{answer['message']}{answer['remedy']}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(content) for name, content in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(content) for content in value]
    return str(value) if isinstance(value, uuid.UUID | StrEnum) else value
