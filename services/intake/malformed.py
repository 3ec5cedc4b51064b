"""What a unit sent that is not of its form: mended where nothing is lost by it, else answered with what is wrong.

A report is never held up by what comes with it, and a bad cell costs no more than the cell. Nothing of this is parked:
who sent it can send it again, under the same id, and would wait for ever behind what can never be read.
"""

import json
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from contracts.event import KINDS, Envelope, Event
from contracts.intake import Action, Begin, End, Row
from contracts.vocabulary import FindingCode, IdentityField, Verb

_OURS = re.compile(r"department\.(?:Begin|Row|End)\.v[0-9]+|action\.Action\.v[0-9]+")
"""Kinds of a later version than this one wait until they can be read."""
_LONGEST_NOTE = 4000
"""Characters of what a report says in words; a page of A4 is a thousand."""
_NOT_UTF8 = re.compile("[\ud800-\udfff]")


class MalformedMessage(Event):
    """It could not be read as it stands."""

    type: str
    """Its type: ``department.Row.v1``."""
    fields: tuple[str, ...]
    """What in it is not of its form."""
    submission: UUID | None = None
    number: int | None = None
    verb: Verb | None = None
    report: Action | None = None
    """A person's report, without the fields that could not be read: it is taken."""

    @property
    def is_row(self) -> bool:
        """It says that it is one, and so has its place among the others."""
        return self.type == Row.kind


def repair_record(envelope: Envelope, value: bytes, reason: str) -> Event | None:
    """What stands for an unreadable part of a file. None: it is of a version to come."""
    content = _content(value)
    if envelope.type == Row.kind:
        mended = _row(content)
        if mended is not None:
            return mended
    return _misread(envelope, content, reason, {Begin.kind, Row.kind, End.kind})


def repair_action(envelope: Envelope, value: bytes, reason: str) -> Event | None:
    """What stands for an unreadable action. None: it is of a version to come."""
    content = _content(value)
    misread = _misread(envelope, content, reason, {Action.kind})
    if misread is None or misread.verb is not Verb.REPORT:
        return misread
    report, left_out = _report(content)
    return misread if report is None else misread.model_copy(update={"report": report, "fields": left_out})


def _content(value: bytes) -> Mapping[str, Any]:
    """The value as far as it is an object: halves of characters, which many clients write, are replaced."""
    try:
        found = json.loads(value, object_pairs_hook=_without_halves)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _without_halves(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {_whole(name): _whole(held) for name, held in pairs}


def _whole(held: Any) -> Any:
    if isinstance(held, list):
        return [_whole(one) for one in held]
    return _NOT_UTF8.sub("\ufffd", held) if isinstance(held, str) else held


def _misread(
    envelope: Envelope, content: Mapping[str, Any], reason: str, known: Collection[str]
) -> MalformedMessage | None:
    if envelope.type not in KINDS and _OURS.fullmatch(envelope.type):
        return None
    fields = ("ce_type",) if envelope.type not in known else _fields(reason)
    return MalformedMessage(
        type=envelope.type,
        fields=fields,
        submission=_read_as(UUID, content.get("submission")),
        number=_read_as(int, content.get("number")),
        verb=_read_as(Verb, content.get("verb")),
    )


def _fields(reason: str) -> tuple[str, ...]:
    """The fields a reader complains of: ``cells.*.str: string_type; number: int_parsing``."""
    named = (part.rpartition(":")[0].strip().partition(".")[0] for part in reason.split(";"))
    return tuple(dict.fromkeys(name if name.isidentifier() else "JSON" for name in named))


def _read_as(kind: Any, said: Any) -> Any:
    try:
        return _reader_of(kind).validate_python(said)
    except ValidationError:
        return None


@lru_cache
def _reader_of(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _row(content: Mapping[str, Any]) -> Row | None:
    """The row, if only cells, or its number, are not of their form: such a cell is read as the text it is."""
    cells = content.get("cells")
    if not isinstance(cells, dict):
        return None
    mended = {**content, "number": _read_as(int, content.get("number")), "cells": {}}
    for header, cell in cells.items():
        mended["cells"][header] = json.dumps(cell, ensure_ascii=False) if isinstance(cell, list | dict) else cell
    with suppress(ValidationError):
        return Row.model_validate(mended)
    return None


def _report(content: Mapping[str, Any]) -> tuple[Action | None, tuple[str, ...]]:
    """A report without what could not be read, and the names of that. What was said in words stays words."""
    mended = dict(content)
    left_out: set[str] = set()
    who, words = _identity(mended.pop("identity", None))
    note = mended.pop("note", None)
    words = [*([] if note is None else [_text(note)]), *words]
    codes = mended.get("findings")
    if isinstance(codes, list):
        mended["findings"] = [code for code in codes if _read_as(FindingCode, code) is not None]
        if len(mended["findings"]) < len(codes):
            left_out.add("findings")
    for _ in range(2):
        try:
            action = Action.model_validate({**mended, "identity": who})
        except ValidationError as error:
            wrong = {str(one["loc"][0]) for one in error.errors(include_url=False, include_input=False) if one["loc"]}
            if not wrong or wrong & {"verb", "role", "findings"}:
                break
            left_out |= wrong
            for name in wrong:
                mended.pop(name, None)
        else:
            return action.model_copy(update={"note": "\n".join(words)[:_LONGEST_NOTE]}), tuple(sorted(left_out))
    return None, ()


def _identity(said: Any) -> tuple[dict[str, str], list[str]]:
    """Who it is about; and, as words, what stands under names that identities do not have."""
    if not isinstance(said, dict):
        return {}, [] if said is None else [_text(said)]
    who = {name: _text(held) for name, held in said.items() if name in set(IdentityField) and held is not None}
    return who, [f"{name}：{_text(held)}" for name, held in said.items() if name not in set(IdentityField)]


def _text(held: Any) -> str:
    return held if isinstance(held, str) else json.dumps(held, ensure_ascii=False)
