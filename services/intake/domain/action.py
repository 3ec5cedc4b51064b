"""Decides whether an action of a unit's person is accepted: unit, place, role, and the fields that the verb requires.

Whether the action is possible now (the referral may be closed, the child not on file) is not decided here; the
services that keep those answer in their own events.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Protocol
from uuid import UUID

from contracts.vocabulary import (
    HOTLINES,
    NUMBER_BOUNDS,
    FactName,
    FindingCode,
    IdentityField,
    Result,
    ReturnReason,
    Verb,
)
from services.intake.domain import cells
from services.intake.domain.divisions import ABROAD
from services.intake.domain.text import mask

Value = bool | int | str


class Action(Protocol):
    """The fields of ``contracts.intake.Action`` that are checked."""

    @property
    def verb(self) -> Verb: ...
    @property
    def role(self) -> str: ...
    @property
    def person(self) -> str: ...
    @property
    def place(self) -> str | None: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def on(self) -> date | None: ...
    @property
    def child(self) -> UUID | None: ...
    @property
    def referral(self) -> UUID | None: ...
    @property
    def finding(self) -> UUID | None: ...
    @property
    def proposal(self) -> UUID | None: ...
    @property
    def findings(self) -> tuple[FindingCode, ...]: ...
    @property
    def identity(self) -> Mapping[IdentityField, str]: ...
    @property
    def facts(self) -> Mapping[FactName, Value]: ...
    @property
    def station(self) -> str | None: ...
    @property
    def reached(self) -> bool | None: ...
    @property
    def mode(self) -> str | None: ...
    @property
    def at_residence(self) -> bool | None: ...
    @property
    def reason(self) -> ReturnReason | None: ...
    @property
    def to_unit(self) -> str | None: ...
    @property
    def days(self) -> int | None: ...
    @property
    def result(self) -> Result | None: ...
    @property
    def channel(self) -> str | None: ...
    @property
    def outcome(self) -> str | None: ...
    @property
    def other(self) -> UUID | None: ...
    @property
    def records(self) -> tuple[UUID, ...]: ...


@dataclass(frozen=True, slots=True)
class Account:
    """The log-in that an action came by, as its topic shows."""

    unit: str
    restricted: bool
    """It is the unit's second log-in, for restricted matters, whose receipts the first cannot read."""

    @property
    def principal(self) -> str:
        """The name of the log-in."""
        return f"{self.unit}-restricted" if self.restricted else self.unit


@dataclass(frozen=True, slots=True)
class Sender:
    """The unit that owns the topic, according to the county's data."""

    id: str
    registered: bool
    """The unit is registered, and is not a smaller place of another unit."""
    places: Collection[str]
    """Smaller places (schools, clinics, village committees) that act through the unit."""
    roles: Mapping[str, Collection[Verb]]
    """Role -> the verbs it may use."""
    people: Mapping[str, Collection[str]]
    """Person -> their roles, in this unit and its places."""
    held_roles: Collection[str]
    """The roles that somebody of the unit or its places holds."""
    units: Collection[str]
    """Every unit of the county."""
    may_decide: bool
    """The unit is a township or acts for the county, and so may confirm and decline."""
    may_merge: bool
    """The unit leads or is a township, and so may merge and split children's files."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an action is refused, or a remark about one that is accepted."""

    code: str
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def message(self) -> str:
        """Say in Chinese what is wrong."""
        return TEXTS[self.code][0].format(**dict(self.parameters))

    @property
    def remedy(self) -> str:
        """Say in Chinese what to do."""
        return TEXTS[self.code][1].format(**dict(self.parameters))


TEXTS: dict[str, tuple[str, str]] = {
    "unit_mismatch": ("内容里写的单位不是本通道的单位。", "请从该单位自己的通道报送，或删去 unit。"),
    "unit_unknown": ("本单位没有登记。", "请联系县民政局登记本单位。"),
    "place_unknown": ("所写的地点（学校、医疗机构、村居等）不归本单位。", "请核对 place，或联系县民政局登记。"),
    "role_unknown": ("没有这个岗位：{role}。", "请填写县里登记的岗位。"),
    "role_may_not": ("岗位“{role}”不能做这件事（{verb}）。", "请由有权限的人员办理。"),
    "role_not_here": (
        "本单位没有岗位是“{role}”的登记人员，不能以此岗位办理。",
        "请以本单位登记的岗位办理，或联系县民政局登记人员。",
    ),
    "person_role": ("该人员在本单位登记的岗位不是“{role}”。", "请用登记的岗位办理，或联系县民政局更新登记。"),
    "person_unknown": ("person 应是县里登记的人员编号，不是姓名或号码。", "请填写登记的人员编号，或留空。"),
    "unit_may_not": (
        "本单位不能做这件事（{verb}）。",
        "确认、不予确认由乡镇或县级牵头单位办理；合并、拆分由县级牵头单位办理。",
    ),
    "field_missing": ("缺少必填内容：{fields}。", "请补齐后重新报送。"),
    "on_future": ("办理日期在将来。", "请核对日期；只报送已经做了的事。"),
    "at_future": ("电话报告的时间在将来。", "请核对时间。"),
    "day_absurd": ("日期过早，不可能是办理的日期。", "请核对年份。"),
    "to_unit_unknown": ("没有这个单位：{unit}。", "请填写县里登记的单位编号。"),
    "same_child": ("合并的两份档案是同一份。", "请填写另一份档案的编号。"),
    "fact_unreadable": ("核实内容不能识别：{facts}。", "请按填报说明中的写法重新报送。"),
    "facts_not_taken": (
        "情况已收到；随附的核实内容没有登记，因为没有可用的身份信息。",
        "请查到儿童编号后用 verify 报送核实内容。",
    ),
    "unreadable": (
        "内容不合格式（{fields}），未收。",
        "请按对接指南核对这些字段后重新报送，可以用同一个 ce_id。",
    ),
    "left_out": (
        "情况已收到；这些内容不合格式，没有登记：{fields}。",
        "请核对后电话告知承办单位；能写明的，用新的报告补报。",
    ),
    "station_unknown": (
        "电话报告已收到；打给了谁记为“其他”，因为所写的不是登记的单位或热线。",
        "请写热线号码（如 110）或县里登记的单位名称，不要写人名、电话号码。",
    ),
    "township_unknown": ("情况已收到；所写的乡镇代码查不到，没有登记地点。", "请电话告知县民政局发现地点。"),
}
"""Code -> what is wrong, what to do."""

OTHER_STATION = "其他"
"""Recorded for a call to a line or office that the county's data does not name."""

_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_REFERRAL_VERBS = frozenset(
    {
        Verb.ACCEPT,
        Verb.START,
        Verb.RETURN,
        Verb.REROUTE,
        Verb.EXTEND,
        Verb.RESULT,
        Verb.WITHDRAW,
        Verb.INFORM_REPORTER,
        Verb.REOPEN,
    }
)
_CHILD_VERBS = frozenset({Verb.CLOSE, Verb.CONTACT, Verb.VISIT, Verb.VERIFY, Verb.MERGE, Verb.SPLIT})
_OPEN_TO_ALL_VERBS = frozenset({Verb.REPORT, Verb.PHONE_REPORT})
"""Everybody who learns of a child in need must report it, whether or not the county lists the person."""
_FIRST_DAY = date(2000, 1, 1)
"""No action can have happened before this day."""
_REQUIRED_FIELDS: Mapping[Verb, tuple[str, ...]] = {
    Verb.REPORT: ("findings",),
    Verb.PHONE_REPORT: ("station", "at", "reached"),
    Verb.RETURN: ("reason",),
    Verb.REROUTE: ("to_unit",),
    Verb.EXTEND: ("days",),
    Verb.RESULT: ("result",),
    Verb.INFORM_REPORTER: ("channel",),
    Verb.CONTACT: ("mode", "reached"),
    Verb.VISIT: ("at_residence",),
    Verb.VERIFY: ("outcome",),
    Verb.CONFIRM: ("proposal",),
    Verb.DECLINE: ("proposal",),
    Verb.MERGE: ("other",),
}


def find_refusal(action: Action, sender: Sender, *, on: date, call_date: date | None) -> Refusal | None:
    """Return why an action is refused, or None.

    Args:
        action: what the person did.
        sender: the unit that owns the topic.
        on: the county's day.
        call_date: the county's day of the call that a phone report is about.
    """
    return (
        _check_sender(action, sender)
        or _check_authority(action, sender)
        or _check_required_fields(action)
        or _check_plausibility(action, sender, on, call_date)
    )


def _check_sender(action: Action, sender: Sender) -> Refusal | None:
    if action.unit is not None and action.unit != sender.id:
        return Refusal("unit_mismatch")
    if not sender.registered:
        return Refusal("unit_unknown")
    if action.place is not None and action.place not in sender.places:
        return Refusal("place_unknown")
    return None


def _check_authority(action: Action, sender: Sender) -> Refusal | None:
    verbs = sender.roles.get(action.role)
    if verbs is None:
        return _refusal("role_unknown", role=_safe_to_repeat(action.role))
    if action.verb not in verbs:
        return _refusal("role_may_not", role=action.role, verb=action.verb.value)
    if action.role not in sender.held_roles and action.verb not in _OPEN_TO_ALL_VERBS:
        return _refusal("role_not_here", role=action.role)
    roles = sender.people.get(action.person)
    if roles is not None and action.role not in roles:
        return _refusal("person_role", role=action.role)
    if roles is None and action.person and not _is_person_id(action.person):
        return Refusal("person_unknown")
    if action.verb in (Verb.CONFIRM, Verb.DECLINE) and not sender.may_decide:
        return _refusal("unit_may_not", verb=action.verb.value)
    if action.verb in (Verb.MERGE, Verb.SPLIT) and not sender.may_merge:
        return _refusal("unit_may_not", verb=action.verb.value)
    return None


def _safe_to_repeat(text: str) -> str:
    """Mask what is written in place of an id: it may be a name or a number."""
    return text if _is_person_id(text) else mask(text)


def _is_person_id(text: str) -> bool:
    """Return true if a text is an id; ids are published in the clear, so names and numbers must not pass."""
    return _ID.fullmatch(text) is not None and sum(character.isdigit() for character in text) <= 6


def _check_required_fields(action: Action) -> Refusal | None:
    needed = list(_REQUIRED_FIELDS.get(action.verb, ()))
    if action.verb in _REFERRAL_VERBS:
        needed += ["child", "referral"]
    elif action.verb in _CHILD_VERBS:
        needed += ["child"]
    elif action.verb is Verb.PHONE_REPORT and action.finding is None:
        needed += ["child", "referral"]
    if action.verb is Verb.RETURN and action.reason is ReturnReason.WRONG_AREA:
        needed += ["to_unit"]
    if action.verb is Verb.CLOSE and action.referral is not None:
        needed += ["channel"]
    if action.verb is Verb.CLOSE and action.channel is not None:
        # Without a referral the verb removes the child from the ledger, for which no channel is given.
        needed += ["referral"]
    if action.verb is Verb.SPLIT and action.other is None:
        needed += ["records"]  # to undo a merge, the two files are enough
    missing = [name for name in needed if getattr(action, name) in (None, "", ())]
    return _refusal("field_missing", fields="、".join(missing)) if missing else None


def _check_plausibility(action: Action, sender: Sender, on: date, call_date: date | None) -> Refusal | None:
    if action.on is not None and action.on > on:
        return Refusal("on_future")
    if call_date is not None and call_date > on:
        return Refusal("at_future")
    if any(day is not None and day < _FIRST_DAY for day in (action.on, call_date)):
        return Refusal("day_absurd")
    if action.to_unit is not None and action.to_unit not in sender.units:
        return _refusal("to_unit_unknown", unit=_safe_to_repeat(action.to_unit))
    if action.verb is Verb.MERGE and action.other == action.child:
        return Refusal("same_child")
    if action.verb is Verb.SPLIT and action.other == action.child:
        return Refusal("same_child")
    return None


def _refusal(code: str, **filled: str) -> Refusal:
    return Refusal(code, tuple(filled.items()))


_LENGTHS: Mapping[FactName, tuple[int, ...]] = {
    FactName.HUKOU_DIVISION: (6, 9, 12),
    FactName.RESIDENCE_DIVISION: (9, 12),
    FactName.INSURED_DIVISION: (6,),
}


def station_name(station: str | None, unit_names: Collection[str]) -> str | None:
    """Return the hotlines and offices that a text names, by the county's names for them; else ``OTHER_STATION``.

    Nothing else that was typed is passed on: the result is published in the clear, and the text may contain a name
    or a number.
    """
    if station is None:
        return None
    text = unicodedata.normalize("NFKC", station[:200])
    lines = [line for line in HOTLINES if re.search(rf"(?<!\d){line}(?!\d)", text)]
    named = [office for office in unit_names if office in text and not office.isdigit()]
    longest = [name for name in named if not any(name != other and name in other for other in named)]
    return "、".join([*sorted(longest), *lines]) or OTHER_STATION


def invalid_facts(facts: Mapping[FactName, Value], types: Mapping[FactName, str], *, on: date) -> tuple[FactName, ...]:
    """Return the facts whose values do not have their form. Nothing is repaired: programs write these values."""
    checks: Mapping[str, Callable[[FactName, Value], bool]] = {
        "bool": lambda name, value: isinstance(value, bool),
        "number": lambda name, value: not isinstance(value, bool) and isinstance(value, int) and _within(name, value),
        "date": lambda name, value: isinstance(value, str) and _is_day(value, on),
        "code": lambda name, value: isinstance(value, str) and _is_code(name, value),
    }
    return tuple(name for name, value in facts.items() if not checks[types[name]](name, value))


def _within(name: FactName, value: int) -> bool:
    low, high = NUMBER_BOUNDS[name]
    return low <= value <= high


def _is_day(value: str, on: date) -> bool:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return False
    return value == day.isoformat() and date(1900, 1, 1) <= day <= on


def _is_code(name: FactName, value: str) -> bool:
    lengths = _LENGTHS.get(name)
    if lengths is None:
        return value in cells.codes_of(name)
    return (value.isascii() and value.isdigit() and len(value) in lengths) or (
        name is FactName.HUKOU_DIVISION and value == ABROAD
    )
