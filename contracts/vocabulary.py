"""The closed vocabulary of the domain (docs/glossary.md). Only the standard library is used.

It does not contain what a county may change, such as its units, items, townships and time limits; that is the
county's data (``contracts.county``).
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Literal
from zoneinfo import ZoneInfo

COUNTY_TIME = ZoneInfo("Asia/Shanghai")
"""The time zone of every county: a day of the system is a calendar day of this zone."""
TOWNSHIP = "township"
"""Where the county's data names a unit, this word means the unit of the child's township."""


class Answer(StrEnum):
    """A rule's answer. A missing fact gives ``UNKNOWN``, never ``NO``."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Certainty(StrEnum):
    """How certain the basis of an answer is, the weakest last."""

    STATED = "stated"
    """The policy states it."""
    LAW = "law"
    """A law or regulation, read in full, states it."""
    SEEN = "seen"
    """A published page, of which only a part was read, states it."""
    RECALLED = "recalled"
    """It has not been compared with any source."""
    INFERRED = "inferred"
    """It is Hutong's own proposal, without any authority."""


class Level(StrEnum):
    """The urgency of a finding or referral, the most urgent first (policy part 4.1)."""

    L0 = "L0"
    """Danger to life, body or sexual safety, or a small child left alone: a telephone call comes first."""
    L1 = "L1"
    """Act on the same day."""
    L2 = "L2"
    """Act promptly."""
    L3 = "L3"
    """Act within the ordinary time limit."""


class Fulfilment(StrEnum):
    """Where an item of the list is granted: at the residence, or by the hukou county with assistance from here."""

    LOCAL = "local"
    ASSIST = "assist"
    EITHER = "either"


class TextStatus(StrEnum):
    """How completely an item's text is known."""

    COMPLETE = "complete"
    RECONSTRUCTED = "reconstructed"
    MISSING = "missing"


class ReferralState(StrEnum):
    """The states of a referral."""

    DRAFT = "draft"  # 草拟
    SENT = "sent"  # 已转出
    ACCEPTED = "accepted"  # 已签收
    IN_PROGRESS = "in_progress"  # 办理中
    RETURNED = "returned"  # 退回
    RESULT_REPORTED = "result_reported"  # 已反馈
    CLOSED = "closed"  # 办结
    WITHDRAWN = "withdrawn"  # 撤回


class Transition(StrEnum):
    """The transitions of a referral. ``ESCALATED`` and ``EXTENDED`` change due dates, not the state."""

    SENT = "sent"
    ACCEPTED = "accepted"
    STARTED = "started"
    RETURNED = "returned"
    REROUTED = "rerouted"
    ESCALATED = "escalated"
    EXTENDED = "extended"
    RESULT_REPORTED = "result_reported"
    REPORTER_INFORMED = "reporter_informed"
    PHONE_REPORTED = "phone_reported"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"
    REOPENED = "reopened"
    REASSIGNED = "reassigned"  # the child's file was merged into another's, or split from it


class ApplicationState(StrEnum):
    """The state of an application for a listed service. A refusal by the authority and a waiver are distinct."""

    APPLIED = "applied"  # 已申请
    GRANTED = "granted"  # 已批准
    NOT_APPROVED = "not_approved"  # 不予批准
    WAIVED = "waived"  # 监护人放弃


class ReturnReason(StrEnum):
    """Why a unit returns a referral."""

    NOT_MY_DUTY = "not_my_duty"  # 不属本单位职责
    WRONG_AREA = "wrong_area"  # 不属本辖区 (the unit must name the right one)
    CANNOT_FIND_CHILD = "cannot_find_child"
    DUPLICATE = "duplicate"
    INFORMATION_MISSING = "information_missing"


class Result(StrEnum):
    """The result of a referral."""

    RESOLVED = "resolved"
    SERVICE_IN_PLACE = "service_in_place"
    NOT_ELIGIBLE = "not_eligible"
    REFUSED_BY_GUARDIAN = "refused_by_guardian"  # it cannot close a referral of level 0 or 1
    MOVED_AWAY = "moved_away"
    REACHED_18 = "reached_18"
    ERROR = "error"


class Verb(StrEnum):
    """The actions of a unit's people (``action.<unit>.v1``)."""

    REPORT = "report"
    PHONE_REPORT = "phone-report"
    ACCEPT = "accept"
    START = "start"
    RETURN = "return"
    REROUTE = "reroute"
    EXTEND = "extend"
    RESULT = "result"
    WITHDRAW = "withdraw"
    INFORM_REPORTER = "inform-reporter"
    CLOSE = "close"
    REOPEN = "reopen"
    CONTACT = "contact"
    VISIT = "visit"
    VERIFY = "verify"
    CONFIRM = "confirm"
    DECLINE = "decline"
    MERGE = "merge"
    SPLIT = "split"


class FindingCode(StrEnum):
    """What a person found or the facts show. It is a code without details; a child's conduct has no code.

    The county's routes determine which unit receives it (``contracts.county.Route.findings``).
    """

    # The nine mandatory-report situations (policy part 3.19): R1.
    INJURY_PRIVATE_PARTS = "injury_private_parts"
    SEXUAL_ABUSE_UNDER_14 = "sexual_abuse_under_14"
    SUSPECTED_SEXUAL_ABUSE = "suspected_sexual_abuse"
    SUSPECTED_VIOLENCE = "suspected_violence"
    ABNORMAL_DEATH_OR_DISABILITY = "abnormal_death_or_disability"
    ABANDONED_OR_LONG_UNATTENDED = "abandoned_or_long_unattended"
    UNKNOWN_ORIGIN_OR_TRAFFICKED = "unknown_origin_or_trafficked"
    ORGANISED_BEGGING = "organised_begging"
    OTHER_SERIOUS_HARM = "other_serious_harm"
    # Guardianship: R2-R6, R17 of the list's row 17.
    GUARDIAN_FAILS_DUTY = "guardian_fails_duty"
    GUARDIAN_FAILS_DUTY_SERIOUSLY = "guardian_fails_duty_seriously"
    UNATTENDED = "unattended"
    GUARDIAN_MISSING = "guardian_missing"
    NO_GUARDIAN = "no_guardian"
    GUARDIANSHIP_AT_RISK = "guardianship_at_risk"
    GUARDIANSHIP_TO_REVOKE = "guardianship_to_revoke"  # R6: an application to the court is required
    ORPHAN_OR_UNSUPPORTED = "orphan_or_unsupported"  # R18: 疑似孤儿或事实无人抚养
    DOMESTIC_VIOLENCE = "domestic_violence"
    RUNAWAY_OR_VAGRANT = "runaway_or_vagrant"
    BEHAVIOUR_CONCERN = "behaviour_concern"  # without category or description (policy 3.15)
    BULLYING_OR_HARASSMENT = "bullying_or_harassment"
    # Schooling.
    OUT_OF_SCHOOL = "out_of_school"
    NEVER_ENROLLED = "never_enrolled"
    NOT_IN_KINDERGARTEN = "not_in_kindergarten"
    # Mental health: R14, R15.
    MENTAL_DISTRESS = "mental_distress"
    MENTAL_DANGER = "mental_danger"
    # Livelihood, health, housing, papers.
    SUDDEN_HARDSHIP = "sudden_hardship"
    LASTING_HARDSHIP = "lasting_hardship"
    DISABILITY_UNSERVED = "disability_unserved"
    VACCINATION_GAP = "vaccination_gap"
    HEALTH_VISIT_MISSING = "health_visit_missing"
    UNINSURED = "uninsured"
    HOUSING_DIFFICULTY = "housing_difficulty"
    NO_HUKOU = "no_hukou"
    CHILD_LABOUR = "child_labour"
    FAMILY_EDUCATION_NEED = "family_education_need"
    LEGAL_HELP_NEED = "legal_help_need"
    PARENT_SEEKS_WORK = "parent_seeks_work"
    LEAVING_COUNTY = "leaving_county"  # R33: another county takes over
    HELP_REQUESTED = "help_requested"  # the family asked for help: the sixth ground of the ledger


class LedgerReason(StrEnum):
    """The grounds for an entry on the key-care ledger (重点关爱服务对象信息台账): the plan's five, and a request."""

    FAMILY_HARDSHIP = "family_hardship"  # 家庭生活困难
    DISABILITY = "disability"  # 自身残疾
    GUARDIANSHIP_ABSENT = "guardianship_absent"  # 监护缺失
    VAGRANCY = "vagrancy"  # 流浪
    MIND_OR_BEHAVIOUR = "mind_or_behaviour"  # 心理和行为异常
    REQUEST = "request"  # 主动提出救助帮扶需求


class DutyKind(StrEnum):
    """The kinds of recurring duties."""

    CONTACT = "contact"  # monthly
    VISIT = "visit"  # quarterly
    FIRST_VISIT = "first_visit"  # within 7 working days of entry


class FactName(StrEnum):
    """The facts that may be known about a child. They do not identify the child.

    Values are strings (codes, ISO dates), booleans or whole numbers, as ``FACT_TYPES`` defines.
    """

    BIRTH_DATE = "birth_date"
    SEX = "sex"  # GB/T 2261.1: 1, 2
    HUKOU_DIVISION = "hukou_division"  # 6, 9 or 12 digits; 810000, 820000, 830000 and "abroad" name no hukou county
    RESIDENCE_DIVISION = "residence_division"  # 9 or 12 digits
    RESIDENCE_SINCE = "residence_since"  # ISO date; all credible claims are published and the earliest counts
    RESIDENCE_ENDED = "residence_ended"  # ISO date
    AWAY_SINCE = "away_since"  # ISO date on which a continuing absence began
    RESIDENCE_PERMIT = "residence_permit"  # bool
    RESIDENCE_PERMIT_SIGNED = "residence_permit_signed"  # ISO date
    LIVES_WITH_FATHER = "lives_with_father"  # bool
    LIVES_WITH_MOTHER = "lives_with_mother"  # bool
    LIVES_WITH_GUARDIAN = "lives_with_guardian"  # bool: a legal guardian who is no parent
    LIVES_WITH_CARETAKER = "lives_with_caretaker"  # bool: entrusted, not a guardian
    LIVES_ALONE = "lives_alone"  # bool
    WRITTEN_CARE_AGREEMENT = "written_care_agreement"  # bool
    FATHER_STATUS = "father_status"  # present, away, dead, missing, not_found, no_capacity, revoked, unsupporting
    MOTHER_STATUS = "mother_status"
    GUARDIAN_STATUS = "guardian_status"  # effective, absent, at_risk: as a person found
    SCHOOL_STATUS = "school_status"  # enrolled, suspended, dropped_out, not_enrolled, graduated
    SCHOOL_STAGE = "school_stage"  # kindergarten, primary, junior, senior, vocational
    SCHOOL_GRADE = "school_grade"  # 1..12 within compulsory and senior school
    SCHOOL_SINCE = "school_since"  # ISO date of entry into this school
    SCHOOL_COUNT = "school_count"  # number of schools that claim the child
    VACCINATION_STATUS = "vaccination_status"  # complete, overdue, none
    VACCINATION_FILE_HERE = "vaccination_file_here"  # bool
    HEALTH_FILE_HERE = "health_file_here"  # bool
    HEALTH_LAST_CHECK = "health_last_check"  # ISO date
    HEALTH_NEED = "health_need"  # bool
    INSURED = "insured"  # bool
    INSURED_YEAR = "insured_year"  # number
    INSURED_DIVISION = "insured_division"  # 6 digits
    DISABILITY = "disability"  # bool
    DISABILITY_KIND = "disability_kind"  # 1..7
    DISABILITY_GRADE = "disability_grade"  # 1..4
    DISABILITY_CERTIFIED = "disability_certified"  # bool
    REHABILITATION = "rehabilitation"  # bool: in training now
    DISABILITY_SUBSIDY = "disability_subsidy"  # bool: draws one of the two subsidies
    DIBAO = "dibao"  # bool: household draws 低保
    TEKUN = "tekun"  # bool
    ORPHAN = "orphan"  # bool: recognised by the hukou county
    UNSUPPORTED = "unsupported"  # bool: recognised 事实无人抚养
    AIDED_STUDENT = "aided_student"  # bool
    HARDSHIP_LASTING = "hardship_lasting"  # bool: a person's finding
    HARDSHIP_SUDDEN = "hardship_sudden"  # bool: a person's finding
    HOUSING_DIFFICULTY = "housing_difficulty"  # bool
    PSYCHOLOGICAL_NEED = "psychological_need"  # bool: a person's finding, never a diagnosis
    HELP_REQUESTED = "help_requested"  # bool
    DECEASED = "deceased"  # ISO date


_DATES = {
    FactName.BIRTH_DATE,
    FactName.RESIDENCE_SINCE,
    FactName.RESIDENCE_ENDED,
    FactName.AWAY_SINCE,
    FactName.RESIDENCE_PERMIT_SIGNED,
    FactName.SCHOOL_SINCE,
    FactName.HEALTH_LAST_CHECK,
    FactName.DECEASED,
}
_NUMBERS = {
    FactName.SEX,
    FactName.SCHOOL_GRADE,
    FactName.SCHOOL_COUNT,
    FactName.INSURED_YEAR,
    FactName.DISABILITY_KIND,
    FactName.DISABILITY_GRADE,
}
_CODES = {
    FactName.HUKOU_DIVISION,
    FactName.RESIDENCE_DIVISION,
    FactName.INSURED_DIVISION,
    FactName.FATHER_STATUS,
    FactName.MOTHER_STATUS,
    FactName.GUARDIAN_STATUS,
    FactName.SCHOOL_STATUS,
    FactName.SCHOOL_STAGE,
    FactName.VACCINATION_STATUS,
}

FACT_TYPES: dict[FactName, Literal["date", "number", "code", "bool"]] = {
    name: "date" if name in _DATES else "number" if name in _NUMBERS else "code" if name in _CODES else "bool"
    for name in FactName
}
"""How each fact's value is written: an ISO date, a whole number, a code, or true or false."""

SCHOOL_YEAR_FACTS = frozenset({FactName.SCHOOL_STAGE, FactName.SCHOOL_GRADE, FactName.RESIDENCE_PERMIT})
"""Facts whose ``valid_on`` matters: when they are reported again in a later school year, the child repeats the grade or
the permit was signed. The ``valid_on`` of other facts matters only if a person has recorded ``guardian_status``. The
registry emits no snapshot when only another fact's ``valid_on`` has changed, so no rule may depend on it."""

PROVINCES = frozenset(
    str(number)
    for numbers in (range(11, 16), range(21, 24), range(31, 38), range(41, 47), range(50, 55), range(61, 66))
    for number in numbers
)
"""The first two digits of mainland division codes (GB/T 2260). Only provinces are listed, because tables of counties
lack the abolished codes that remain in ID numbers."""

NUMBER_BOUNDS: Mapping[FactName, tuple[int, int]] = {
    FactName.SEX: (1, 2),
    FactName.SCHOOL_GRADE: (1, 12),
    FactName.SCHOOL_COUNT: (0, 20),
    FactName.INSURED_YEAR: (2000, 2100),
    FactName.DISABILITY_KIND: (1, 7),
    FactName.DISABILITY_GRADE: (1, 4),
}
"""The least and greatest value of each numeric fact. Without them a disability grade of 0 would count as severe."""


class IdentityField(StrEnum):
    """A field that identifies a person. It is published and stored encrypted only, and disclosed field by field."""

    NAME = "name"
    ID_NUMBER = "id_number"
    OTHER_PAPER = "other_paper"
    BIRTH_DATE = "birth_date"
    SEX = "sex"
    PHONE = "phone"
    ADDRESS = "address"
    HUKOU_ADDRESS = "hukou_address"
    SCHOOL = "school"
    GUARDIAN_NAME = "guardian_name"
    GUARDIAN_ID_NUMBER = "guardian_id_number"
    GUARDIAN_PHONE = "guardian_phone"
    FATHER_NAME = "father_name"
    FATHER_ID_NUMBER = "father_id_number"
    FATHER_PHONE = "father_phone"
    MOTHER_NAME = "mother_name"
    MOTHER_ID_NUMBER = "mother_id_number"
    MOTHER_PHONE = "mother_phone"
    REPORTER = "reporter"
    NARRATIVE = "narrative"
    HOUSEHOLD_SIZE = "household_size"


OWNER_OF: Mapping[Verb, Literal["registry", "referral"]] = {
    verb: "registry" if verb in (Verb.VERIFY, Verb.MERGE, Verb.SPLIT) else "referral" for verb in Verb
}
"""Verb -> the service that decides its outcome. Confirming or declining a review belongs to the registry instead
(``contracts.registry.is_review``)."""

VERBS_ABOUT_A_CHILD = frozenset({Verb.CONTACT, Verb.VISIT, Verb.VERIFY, Verb.CONFIRM, Verb.DECLINE})
"""The verbs that reach referral through the registry, which finds the child's current file or refuses the action."""

DANGER_ROUTES = frozenset({"R1", "R3", "R4", "R7", "R8", "R11", "R15"})
"""The routes of findings that mean danger."""


def is_report_of_danger(routes: Iterable[str], level: Level | None) -> bool:
    """Return whether a report means danger. Such a report is never refused, delayed, queued behind others or withdrawn.

    Args:
        routes: the routes that the finding's codes take (``contracts.county.County.routes_for``).
        level: the level to which the person raised it.
    """
    return level is Level.L0 or not DANGER_ROUTES.isdisjoint(routes)


RESTRICTED_ROUTES = frozenset({*(f"R{n}" for n in range(1, 12)), *(f"R{n}" for n in range(14, 18))})
"""The routes of restricted matters, whose events have separate topics (policy part 4: R1-R11, R14-R17)."""

HOTLINES = ("110", "120", "12345", "12356", "12355", "12338", "12309")
"""The hotlines shown wherever a call comes first (policy part 4.3). The one that was called may be recorded."""
