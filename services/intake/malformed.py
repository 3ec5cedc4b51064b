"""Repairs malformed messages of units where nothing is lost by it, and describes the others for the answer.

What comes with a report never delays it, and a malformed cell costs no more than the cell. No such message is parked:
its sender can send it again under the same id, whereas a parked one could never be decoded.
"""

import json
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from contracts.event import KINDS, Envelope, Event
from contracts.intake import Action, Begin, End, Row
from contracts.vocabulary import FindingCode, IdentityField, Verb
from services.intake.domain.problem import Problem
from services.intake.domain.submission import row_number

_KNOWN_KIND = re.compile(r"department\.(?:Begin|Row|End)\.v[0-9]+|action\.Action\.v[0-9]+")
"""Kinds of intake in any version. One of a later version is parked until it can be decoded."""
_MAX_NOTE = 4000
"""Characters of a report's note; a page of A4 has about a thousand."""
_SURROGATE = re.compile("[\ud800-\udfff]")


class MalformedMessage(Event):
    """A substitute for a message that could not be decoded."""

    type: str
    """``ce_type`` of the message, such as ``department.Row.v1``."""
    fields: tuple[str, ...]
    """The names of the fields that could not be decoded."""
    submission: UUID | None = None
    number: int | None = None
    verb: Verb | None = None
    report: Action | None = None
    """A person's report without the fields that could not be decoded; it is processed as an action."""

    @property
    def is_row(self) -> bool:
        """The message claims to be a row, so it is counted among the rows of its file."""
        return self.type == Row.kind

    def problem(self, refused: Literal["row", "file"]) -> Problem:
        """Return the problem that the receipt lists."""
        fields = (("fields", "、".join(self.fields)),)
        return Problem("unreadable", refused, row_number(self.number), parameters=fields)


def repair_record(envelope: Envelope, value: bytes, reason: str) -> Event | None:
    """Return the repaired row, or a substitute for the message; None if its kind is of a later version."""
    content = _content(value)
    if envelope.type == Row.kind:
        repaired = _row(content)
        if repaired is not None:
            return repaired
    return _malformed(envelope, content, reason, {Begin.kind, Row.kind, End.kind})


def repair_action(envelope: Envelope, value: bytes, reason: str) -> Event | None:
    """Return the repaired report, or a substitute for the message; None if its kind is of a later version."""
    content = _content(value)
    message = _malformed(envelope, content, reason, {Action.kind})
    if message is None or message.verb is not Verb.REPORT:
        return message
    report, left_out = _report(content)
    return message if report is None else message.model_copy(update={"report": report, "fields": left_out})


def _content(value: bytes) -> Mapping[str, Any]:
    """Decode the value if it is a JSON object; unpaired surrogates, which many clients write, are replaced."""
    try:
        content = json.loads(value, object_pairs_hook=_without_surrogates)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _without_surrogates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {_replace_surrogates(name): _replace_surrogates(content) for name, content in pairs}


def _replace_surrogates(content: Any) -> Any:
    if isinstance(content, list):
        return [_replace_surrogates(item) for item in content]
    return _SURROGATE.sub("\ufffd", content) if isinstance(content, str) else content


def _malformed(
    envelope: Envelope, content: Mapping[str, Any], reason: str, expected: Collection[str]
) -> MalformedMessage | None:
    if envelope.type not in KINDS and _KNOWN_KIND.fullmatch(envelope.type):
        return None
    fields = ("ce_type",) if envelope.type not in expected else _fields(reason)
    return MalformedMessage(
        type=envelope.type,
        fields=fields,
        submission=_parse_as(UUID, content.get("submission")),
        number=_parse_as(int, content.get("number")),
        verb=_parse_as(Verb, content.get("verb")),
    )


def _fields(reason: str) -> tuple[str, ...]:
    """Return the fields named in a decoder's reason: ``cells.*.str: string_type; number: int_parsing``."""
    named = (part.rpartition(":")[0].strip().partition(".")[0] for part in reason.split(";"))
    return tuple(dict.fromkeys(name if name.isidentifier() else "JSON" for name in named))


def _parse_as(kind: Any, content: Any) -> Any:
    try:
        return _adapter_of(kind).validate_python(content)
    except ValidationError:
        return None


@lru_cache
def _adapter_of(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _row(content: Mapping[str, Any]) -> Row | None:
    """Return the row if only cells or its number do not have their form; such a cell becomes its text."""
    cells = content.get("cells")
    if not isinstance(cells, dict):
        return None
    repaired = {**content, "number": _parse_as(int, content.get("number")), "cells": {}}
    for header, cell in cells.items():
        repaired["cells"][header] = json.dumps(cell, ensure_ascii=False) if isinstance(cell, list | dict) else cell
    with suppress(ValidationError):
        return Row.model_validate(repaired)
    return None


def _report(content: Mapping[str, Any]) -> tuple[Action | None, tuple[str, ...]]:
    """Return the report without the fields that could not be decoded, and their names. Texts are kept as a note."""
    repaired = dict(content)
    left_out: set[str] = set()
    identity, texts = _identity(repaired.pop("identity", None))
    note = repaired.pop("note", None)
    texts = [*([] if note is None else [_text(note)]), *texts]
    codes = repaired.get("findings")
    if isinstance(codes, list):
        repaired["findings"] = [code for code in codes if _parse_as(FindingCode, code) is not None]
        if len(repaired["findings"]) < len(codes):
            left_out.add("findings")
    for _ in range(2):
        try:
            action = Action.model_validate({**repaired, "identity": identity})
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
            wrong = {str(detail["loc"][0]) for detail in errors if detail["loc"]}
            if not wrong or wrong & {"verb", "role", "findings"}:
                break
            left_out |= wrong
            for name in wrong:
                repaired.pop(name, None)
        else:
            return action.model_copy(update={"note": "\n".join(texts)[:_MAX_NOTE]}), tuple(sorted(left_out))
    return None, ()


def _identity(content: Any) -> tuple[dict[str, str], list[str]]:
    """Return the identity fields, and as texts what has a name that is no identity field."""
    if not isinstance(content, dict):
        return {}, [] if content is None else [_text(content)]
    fields = set(IdentityField)
    identity = {name: _text(value) for name, value in content.items() if name in fields and value is not None}
    return identity, [f"{name}：{_text(value)}" for name, value in content.items() if name not in fields]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
