"""The closed words of the field: one word, one thing (docs/glossary.md). Standard library only.

What a county may change (its units, items, townships, clocks) is not here: it is the county's data
(``contracts.county``).
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Literal


class Answer(StrEnum):
    """What a rule says. Silence is never a refusal: a missing fact is ``UNKNOWN``."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Certainty(StrEnum):
    """How sure the ground of an answer is, weakest last."""

    STATED = "stated"
    """Stated in the policy."""
    LAW = "law"
    """Law or regulation, read in full."""
    SEEN = "seen"
    """A published page of which only a part was read."""
    RECALLED = "recalled"
    """Not checked against any source."""
    INFERRED = "inferred"
    """Our own proposal; no authority behind it."""


class Level(StrEnum):
    """Urgency of a finding or referral (policy part 4.1)."""

    L0 = "L0"
    """Life, body, sexual safety, a child alone with nobody: call first."""
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"


class Fulfilment(StrEnum):
    """Where a listed item is done: granted here, or granted by the hukou county with our help."""

    LOCAL = "local"
    ASSIST = "assist"
    EITHER = "either"


class TextStatus(StrEnum):
    """How much of an item's text is known."""

    COMPLETE = "complete"
    RECONSTRUCTED = "reconstructed"
    MISSING = "missing"


class ReferralState(StrEnum):
    DRAFT = "draft"  # 草拟
    SENT = "sent"  # 已转出
    ACCEPTED = "accepted"  # 已签收
    IN_PROGRESS = "in_progress"  # 办理中
    RETURNED = "returned"  # 退回
    RESULT_REPORTED = "result_reported"  # 已反馈
    CLOSED = "closed"  # 已办结
    WITHDRAWN = "withdrawn"  # 撤回


class Transition(StrEnum):
    """What can happen to a referral. ``ESCALATED`` and ``EXTENDED`` change its clock, not its state."""

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
    HANDED_OVER = "handed_over"  # the child's file was merged into another's, or split from it


class ApplicationState(StrEnum):
    """Where an application for a listed service stands. A refusal is one of two things, and they are told apart."""

    APPLIED = "applied"  # 已申请
    GRANTED = "granted"  # 已批准
    NOT_APPROVED = "not_approved"  # 不予批准
    WAIVED = "waived"  # 监护人放弃


class ReturnReason(StrEnum):
    NOT_MY_DUTY = "not_my_duty"  # 不属本单位职责
    WRONG_AREA = "wrong_area"  # 不属本辖区 (must name the right one)
    CANNOT_FIND_CHILD = "cannot_find_child"
    DUPLICATE = "duplicate"
    INFORMATION_MISSING = "information_missing"


class Result(StrEnum):
    RESOLVED = "resolved"
    SERVICE_IN_PLACE = "service_in_place"
    NOT_ELIGIBLE = "not_eligible"
    REFUSED_BY_GUARDIAN = "refused_by_guardian"  # may not close an L0 or L1
    MOVED_AWAY = "moved_away"
    REACHED_18 = "reached_18"
    ERROR = "error"


class Verb(StrEnum):
    """What a unit's people do (``action.<unit>.v1``)."""

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
    """What a person found, or what the facts show. A code, never a story; conduct has none.

    The county's routes say where each goes (``contracts.county.Route.findings``).
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
    GUARDIANSHIP_TO_REVOKE = "guardianship_to_revoke"  # R6: somebody must apply to the court
    ORPHAN_OR_UNSUPPORTED = "orphan_or_unsupported"  # R18: looks like 孤儿 / 事实无人抚养
    DOMESTIC_VIOLENCE = "domestic_violence"
    RUNAWAY_OR_VAGRANT = "runaway_or_vagrant"
    BEHAVIOUR_CONCERN = "behaviour_concern"  # no category and no word of conduct (policy 3.15)
    BULLYING_OR_HARASSMENT = "bullying_or_harassment"
    # Schooling.
    OUT_OF_SCHOOL = "out_of_school"
    NEVER_ENROLLED = "never_enrolled"
    NOT_IN_KINDERGARTEN = "not_in_kindergarten"
    # Mind: R14, R15.
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
    HELP_REQUESTED = "help_requested"  # the family asked: the sixth entry reason of the key-care ledger


class LedgerReason(StrEnum):
    """Why a child stands on the key-care ledger (重点关爱服务对象信息台账): the plan's five, and a request."""

    FAMILY_HARDSHIP = "family_hardship"  # 家庭生活困难
    DISABILITY = "disability"  # 自身残疾
    GUARDIANSHIP_ABSENT = "guardianship_absent"  # 监护缺失
    VAGRANCY = "vagrancy"  # 流浪
    MIND_OR_BEHAVIOUR = "mind_or_behaviour"  # 心理和行为异常
    REQUEST = "request"  # 主动提出救助帮扶需求


class DutyKind(StrEnum):
    CONTACT = "contact"  # monthly
    VISIT = "visit"  # quarterly
    FIRST_VISIT = "first_visit"  # within 7 working days of entry
    SUBMISSION = "submission"
    MEETING = "meeting"


class FactName(StrEnum):
    """What may be known about a child, without saying who the child is.

    Values are strings (codes, ISO dates), booleans or whole numbers; ``contracts.registry.FACT_TYPES`` says which.
    """

    BIRTH_DATE = "birth_date"
    SEX = "sex"  # GB/T 2261.1: 1, 2
    HUKOU_DIVISION = "hukou_division"  # 6, 9 or 12 digits; 810000/820000/830000 or "abroad": no hukou county
    RESIDENCE_DIVISION = "residence_division"  # 9 or 12 digits
    RESIDENCE_SINCE = "residence_since"  # ISO date; every credible claim travels, the earliest counts
    RESIDENCE_ENDED = "residence_ended"  # ISO date
    AWAY_SINCE = "away_since"  # ISO date of an absence from the residence that goes on
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
    GUARDIAN_STATUS = "guardian_status"  # effective, absent, at_risk: a person's finding
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


SCHOOL_YEAR_FACTS = frozenset({FactName.SCHOOL_STAGE, FactName.SCHOOL_GRADE, FactName.RESIDENCE_PERMIT})
"""Facts that are another statement when they are said again in the next school year: the child repeats the grade, the
permit was signed. When anything else was said last is part of what is said only where a person has found something out
about the guardianship (``guardian_status``): the registry tells no news of other days, and no rule may ask for them."""

PROVINCES = frozenset(
    str(number)
    for numbers in (range(11, 16), range(21, 24), range(31, 38), range(41, 47), range(50, 55), range(61, 66))
    for number in numbers
)
"""First two digits of a division code of the mainland (GB/T 2260). By province on purpose: tables by county lack the
old codes that people carry for life."""

NUMBER_BOUNDS: Mapping[FactName, tuple[int, int]] = {
    FactName.SEX: (1, 2),
    FactName.SCHOOL_GRADE: (1, 12),
    FactName.SCHOOL_COUNT: (0, 20),
    FactName.INSURED_YEAR: (2000, 2100),
    FactName.DISABILITY_KIND: (1, 7),
    FactName.DISABILITY_GRADE: (1, 4),
}
"""The least and the greatest of each fact that is a number. A grade of 0 would otherwise be a severe disability."""


class IdentityField(StrEnum):
    """What says who somebody is. Travels sealed, kept encrypted, disclosed field by field."""

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
"""The one service that says what an action did. To confirm or decline a review of two files is the registry's
(``contracts.registry.is_question``); of anything else, referral's."""

DANGER_ROUTES = frozenset({"R1", "R3", "R4", "R7", "R8", "R11", "R15"})


def is_report_of_danger(routes: Iterable[str], level: Level | None) -> bool:
    """Whether a person's finding reports danger: it is never refused, held up, queued behind others or withdrawn.

    Args:
        routes: the routes that the finding's codes take (``contracts.county.County.routes_for``).
        level: what the person raised it to.
    """
    return level is Level.L0 or not DANGER_ROUTES.isdisjoint(routes)


RESTRICTED_ROUTES = frozenset({*(f"R{n}" for n in range(1, 12)), *(f"R{n}" for n in range(14, 18))})
"""Routes that travel on topics of their own (policy part 4: R1-R11, R14-R17)."""

HOTLINES = ("110", "120", "12345", "12356", "12355", "12338", "12309")
"""Printed wherever somebody must call first (policy part 4.3); which of them was called may be recorded."""
