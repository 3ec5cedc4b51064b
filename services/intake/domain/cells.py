"""Reads single cells: names, phone numbers, yes and no, and the words that departments use for codes."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from contracts.vocabulary import NUMBER_BOUNDS, FactName
from services.intake.domain.problem import CellRejected
from services.intake.domain.text import Cell, compact, number_text, read_text

_DOTS = str.maketrans(dict.fromkeys("•‧∙⋅・･●•．˙", "·"))
_BETWEEN_HAN = re.compile(
    r"(?<=[\u3400-\u9fff\U00020000-\U0003ffff〇])[.\s*](?=[\u3400-\u9fff\U00020000-\U0003ffff〇])"
)
_DIGIT = re.compile(r"\d")
_MAX_NAME_LENGTH = 60
_ORDINARY_NAME = re.compile(r"[\u4e00-\u9fa5]{1,20}").fullmatch


def read_name(cell: Cell) -> str | None:
    """Return a person's name with one form of separator dot and without spaces between Han characters.

    Raises:
        CellRejected: ``name_unreadable``, ``name_unreadable_character``, ``too_long``.
    """
    text = read_text(cell)
    if text is None or _ORDINARY_NAME(text):
        return text
    if any(_is_unprintable(character) for character in text):
        raise CellRejected("name_unreadable_character")
    text = text.translate(_DOTS)
    text = _BETWEEN_HAN.sub(lambda match: "·" if match[0] == "." else "", text)
    if _DIGIT.search(text) or len(text) > _MAX_NAME_LENGTH or not any(character.isalpha() for character in text):
        raise CellRejected("name_unreadable")
    return text


def _is_unprintable(character: str) -> bool:
    """Return true for private-use code points, boxes and replacement marks: a rare character that was lost."""
    code = ord(character)
    return 0xE000 <= code <= 0xF8FF or code >= 0xF0000 or character in "\ufffd□■?？*"


_MOBILE = re.compile(r"1[3-9]\d{9}")
_SCIENTIFIC = re.compile(r"\d[Ee]\+?\d")
_LANDLINE = re.compile(r"0\d{2,3}[1-9]\d{6,7}|[2-8]\d{6,7}")
_NUMBER_SEPARATOR = re.compile(r"[/、,，;；|和或]|\s+")
_MOBILE_AMONG_WORDS = re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)")
_TEACHER = re.compile("老师|教师|班主任")
"""A number beside one of these words is not the family's."""
_SEPARATORS = str.maketrans(dict.fromkeys(" -()—–‑.·'_"))


def read_phone(cell: Cell) -> tuple[str, bool] | None:
    """Return the first mobile or landline number as digits, and whether the cell holds more than one.

    Raises:
        CellRejected: ``phone_unreadable``, ``phone_damaged``, ``too_long``.
    """
    text = read_text(cell)
    if text is None:
        return None
    if _MOBILE.fullmatch(text):
        return text, False
    if _SCIENTIFIC.search(text):
        raise CellRejected("phone_damaged")
    whole = _phone(text)
    if whole is not None:
        return whole, False
    numbers = [number for part in _NUMBER_SEPARATOR.split(text) if (number := _phone(part)) is not None]
    if not numbers and not _TEACHER.search(text):
        numbers = _MOBILE_AMONG_WORDS.findall(text)
    if not numbers:
        raise CellRejected("phone_unreadable")
    return numbers[0], len(numbers) > 1


def _phone(text: str) -> str | None:
    digits = text.translate(_SEPARATORS).removesuffix("#")
    if digits.startswith("+"):
        digits = digits[1:]
        if not digits.startswith("86"):
            return None
    for prefix in ("0086", "86"):
        if digits.startswith(prefix) and _MOBILE.fullmatch(digits.removeprefix(prefix)):
            return digits.removeprefix(prefix)
        if digits.startswith(prefix) and _LANDLINE.fullmatch("0" + digits.removeprefix(prefix).removeprefix("0")):
            landline = "0" + digits.removeprefix(prefix).removeprefix("0")
            return landline if len(landline) >= 10 else None
    return digits if _MOBILE.fullmatch(digits) or _LANDLINE.fullmatch(digits) else None


_SEX: Mapping[str, Literal[1, 2]] = {
    **dict.fromkeys(("男", "男性", "男孩", "男童", "1", "M", "MALE", "1男", "1-男"), 1),
    **dict.fromkeys(("女", "女性", "女孩", "女童", "2", "F", "FEMALE", "2女", "2-女"), 2),
}
_SEX_UNKNOWN = frozenset({"0", "9", "未知", "未说明", "未知的性别", "未说明的性别"})
"""Among them GB/T 2261.1: 0 unknown, 9 not stated."""


def read_sex(cell: Cell) -> Literal[1, 2] | None:
    """Return the sex by GB/T 2261.1: 1 male, 2 female.

    Raises:
        CellRejected: ``sex_unreadable``.
    """
    text = _code(cell)
    if text is None or text in _SEX_UNKNOWN:
        return None
    sex = _SEX.get(text)
    if sex is None:
        raise CellRejected("sex_unreadable")
    return sex


_YES = frozenset(["是", "有", "1", "√", "✓", "✔", "☑", "对", "Y", "YES", "T", "TRUE", "是的", "已", "真"])
_NO = frozenset(["否", "无", "0", "×", "✗", "✘", "X", "没有", "N", "NO", "F", "FALSE", "不是", "未", "假", "没"])
_NO_ANSWER = frozenset({"", "-", "--", "—", "/", "\\", "不详", "未知", "暂无", "空", "NULL", "NONE", "N/A", "NAN"})

_YES_NO_LABELS: Mapping[FactName, tuple[str, str]] = {
    FactName.INSURED: (
        "已参保|参保|正常参保|在保|已缴费|已缴|正常缴费|缴费|正常|参保缴费",
        "未参保|没参保|未缴费|未缴|停保|断保|暂停参保|暂停缴费|终止参保|中断",
    ),
    FactName.VACCINATION_FILE_HERE: (
        "在册|本地在册|已建卡|已建档|建卡",
        "迁出|外出|死亡|重卡|未建卡|未建档|不在册|注销",
    ),
    FactName.HEALTH_FILE_HERE: ("已建档|建档|在管", "未建档|未建|注销"),
    FactName.RESIDENCE_PERMIT: ("有效|已办|已办理|正常", "无效|未办|未办理|注销|过期|功能中止"),
    FactName.REHABILITATION: ("在训|训练中|康复中|正在训练", "未训|结束|已结束|终止|未接受"),
    FactName.DIBAO: ("低保|低保户|在保|享受|正常享受", "非低保|停保|不享受|退出"),
    FactName.TEKUN: ("特困|特困供养|享受|在保", "非特困|停保|退出"),
    FactName.ORPHAN: ("孤儿", "非孤儿"),
    FactName.UNSUPPORTED: ("事实无人抚养|事实无人抚养儿童", "非事实无人抚养儿童"),
    FactName.DISABILITY: ("残疾|有残疾", "无残疾|健康|正常|非残疾"),
    FactName.DISABILITY_CERTIFIED: ("持证|有证|已办证", "未持证|无证|未办证"),
    FactName.AIDED_STUDENT: ("资助|受助|已资助", "未资助|未受助"),
    FactName.DISABILITY_SUBSIDY: ("享受|已享受", "不享受|未享受"),
}
"""Fact -> what single departments write for yes and for no."""

_YES_BY_FACT = {name: _YES | frozenset(yes.split("|")) for name, (yes, _) in _YES_NO_LABELS.items()}
_NO_BY_FACT = {name: _NO | frozenset(no.split("|")) for name, (_, no) in _YES_NO_LABELS.items()}


def read_yes_no(cell: Cell, fact: FactName | None = None) -> bool | None:
    """Return yes or no, as people and systems write it; with ``fact`` also in the words used for that fact.

    Raises:
        CellRejected: ``yes_no_unreadable``.
    """
    if cell is None or isinstance(cell, bool):
        return cell
    text = _folded(cell) if isinstance(cell, str) else number_text(cell)
    if text in (_YES if fact is None else _YES_BY_FACT.get(fact, _YES)):
        return True
    if text in (_NO if fact is None else _NO_BY_FACT.get(fact, _NO)):
        return False
    if text in _NO_ANSWER:
        return None
    raise CellRejected("yes_no_unreadable")


def read_whole_number(cell: Cell, low: int, high: int) -> int | None:
    """Return a whole number from ``low`` to ``high``, both included; ``2026年`` and ``3人`` are read.

    Raises:
        CellRejected: ``number_unreadable``.
    """
    text = _code(cell)
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6})(?:\.0+)?(?:年度?|人|口|所|个|级)?", text)
    if match is None or not low <= int(match[1]) <= high:
        raise CellRejected("number_unreadable")
    return int(match[1])


_PARENT = {
    "present": "健在|在家|同住|正常|在身边|共同生活",
    "away": "外出|外出务工|务工|在外务工|在外|打工",
    "dead": "死亡|去世|亡故|已故|病故|身故|已死亡|已去世",
    "missing": "失踪|宣告失踪",
    "not_found": "失联|查找不到|查无下落|下落不明|离家失联",
    "no_capacity": "无民事行为能力|丧失民事行为能力|无能力|丧失抚养能力",
    "revoked": "撤销监护资格|被撤销监护|撤销监护|监护资格被撤销",
    "unsupporting": "不履行抚养义务|未履行抚养义务|不尽抚养义务",
}
_CODES: Mapping[FactName, Mapping[str, str]] = {
    FactName.SCHOOL_STATUS: {
        "enrolled": "在读|在校|在园|在学|正常|就读|在籍|在籍在读|在校生|在园儿童|已入学|已入园|复学|随班就读|是|√",
        "suspended": "休学",
        "dropped_out": "辍学|失学|退学|流失|疑似辍学|离校未毕业",
        "not_enrolled": "未入学|未就读|未入园|待入学|未上学|未上幼儿园|学龄前|否",
        "graduated": "毕业|结业|已毕业|小学毕业|初中毕业|高中毕业",
    },
    FactName.SCHOOL_STAGE: {
        "kindergarten": "幼儿园|学前|学前教育|幼儿|托幼|小班|中班|大班|学前班|托班",
        "primary": "小学|小学教育",
        "junior": "初中|初级中学|普通初中|初中教育",
        "senior": "高中|普通高中|普高|高级中学",
        "vocational": "中职|职高|职业高中|中专|中等专业学校|技校|技工学校|技工院校|中等职业教育|中等职业学校",
    },
    FactName.VACCINATION_STATUS: {
        "complete": "完成|已完成|全程|全程接种|合格|齐全|按时|已接种|已全程接种|按程序接种",
        "overdue": "未完成|逾期|漏种|待补种|未全程|超期|不全|未按时|部分接种|应种未种|延迟",
        "none": "未接种|未种|从未接种|无接种记录|零剂次",
    },
    FactName.FATHER_STATUS: _PARENT,
    FactName.MOTHER_STATUS: _PARENT,
    FactName.GUARDIAN_STATUS: {
        "effective": "有效|有效监护|正常",
        "absent": "缺失|监护缺失|无人监护",
        "at_risk": "有风险|面临监护缺失风险|存在风险|监护风险",
    },
}
"""Fact -> code -> the words that departments write for it, the usual one first."""

_CODE_BY_LABEL = {
    fact: {word.upper(): code for code, listed in codes.items() for word in (code, *listed.split("|"))}
    for fact, codes in _CODES.items()
}
_NUMBERED = re.compile(r"^\d{1,2}[-.、:]")
CODED_FACTS = frozenset(_CODES)


def codes_of(fact: FactName) -> frozenset[str]:
    """Return the codes that a fact may have."""
    return frozenset(_CODES[fact])


def labels_of(fact: FactName) -> str:
    """Return the usual word of each code, for the text of a problem."""
    return "、".join(listed.split("|")[0] for listed in _CODES[fact].values())


WHOLE_NUMBER_BOUNDS = {
    "insured_year": NUMBER_BOUNDS[FactName.INSURED_YEAR],
    "school_count": NUMBER_BOUNDS[FactName.SCHOOL_COUNT],
    "household_size": (1, 30),
}
"""Field -> smallest and largest value."""


def allowed_values(field: str) -> tuple[tuple[str, str], ...]:
    """Return the values a field may have, as parameters of a problem's text."""
    if field in WHOLE_NUMBER_BOUNDS:
        low, high = WHOLE_NUMBER_BOUNDS[field]
        return ("low", str(low)), ("high", str(high))
    if field == "school_grade":
        return (("allowed", "一年级至九年级、高一至高三、小班、中班、大班"),)
    if field == "disability_kind":
        return (("allowed", "视力、听力、言语、肢体、智力、精神、多重"),)
    if field == "disability_grade":
        return (("allowed", "一级、二级、三级、四级"),)
    return (("allowed", labels_of(FactName(field))),)


def read_code(cell: Cell, fact: FactName) -> str | None:
    """Return the code of a fact in ``CODED_FACTS`` from a word or code.

    Raises:
        CellRejected: ``word_unknown``.
    """
    text = _code(cell)
    if text is None:
        return None
    code = _CODE_BY_LABEL[fact].get(text) or _CODE_BY_LABEL[fact].get(_NUMBERED.sub("", text))
    if code is None:
        raise CellRejected("word_unknown")
    return code


_NUMERALS = {
    **{character: value for value, character in enumerate("一二三四五六七八九", start=1)},
    "十": 10, "十一": 11, "十二": 12,
    **{str(value): value for value in range(1, 13)},
    **{f"0{value}": value for value in range(1, 10)},
}  # fmt: skip
_ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4}
_GRADE = re.compile(
    r"(?:(?P<stage>小学|初中|高中|普高|中职|职高|中专))?(?P<number>十[一二]?|[一二三四五六七八九]|\d{1,2})(?:年级|年)?(?:\w{1,3}班)?"
)
_YEAR_OF = re.compile(r"(?P<stage>初|高|职|小)(?P<number>[一二三四五六123456])(?:年级)?(?:\w{1,3}班)?")
_GRADES_BEFORE = {"小学": 0, "小": 0, "初中": 6, "初": 6, "高中": 9, "普高": 9, "高": 9}
_GRADES_IN_STAGE = {"小学": 6, "小": 6, "初中": 3, "初": 3, "高中": 3, "普高": 3, "高": 3}


def read_grade(cell: Cell) -> tuple[int | None, str | None] | None:
    """Return a grade from 1 to 12 and its stage: ``三年级``, ``七年级(2)班``, ``初二``, ``高一``, ``大班``.

    A bare number counts from primary school. Vocational schools and kindergartens have a stage but no grade.

    Raises:
        CellRejected: ``word_unknown``.
    """
    text = _code(cell)
    return None if text is None else _grade(text)


@lru_cache(maxsize=4096)
def _grade(text: str) -> tuple[int | None, str | None]:
    text = text.replace("(", "").replace(")", "")
    if _CODE_BY_LABEL[FactName.SCHOOL_STAGE].get(text[:2]) == "kindergarten" or text in ("幼儿园", "学前班"):
        return None, "kindergarten"
    match = _YEAR_OF.fullmatch(text) or _GRADE.fullmatch(text)
    number = _NUMERALS.get(match["number"]) if match else None
    if match is None or number is None:
        raise CellRejected("word_unknown")
    stage = match["stage"]
    if stage in ("中职", "职高", "中专", "职"):
        return None, "vocational"
    if stage is not None and number <= _GRADES_IN_STAGE[stage]:
        number += _GRADES_BEFORE[stage]
    if number > 12:
        raise CellRejected("word_unknown")
    return number, "primary" if number <= 6 else "junior" if number <= 9 else "senior"


_DISABILITY_KINDS = {
    kind: number
    for number, kinds in enumerate(("视力", "听力", "言语|语言", "肢体", "智力", "精神", "多重"), start=1)
    for kind in kinds.split("|")
}


def read_disability_kind(cell: Cell) -> int | None:
    """Return the kind: 1 visual, 2 hearing, 3 speech, 4 physical, 5 intellectual, 6 mental, 7 multiple.

    GB/T 2261.3 writes 61 to 67.

    Raises:
        CellRejected: ``word_unknown``.
    """
    text = _code(cell)
    if text is None or text in ("无", "无残疾", "正常"):
        return None
    text = text.removesuffix("残疾").removesuffix("残").removesuffix("障碍")
    if re.fullmatch(r"6?[1-7]", text):
        return int(text[-1])
    kind = _DISABILITY_KINDS.get(text)
    if kind is None:
        raise CellRejected("word_unknown")
    return kind


def read_disability_grade(cell: Cell) -> int | None:
    """Return the grade, from 1 (most severe) to 4.

    Raises:
        CellRejected: ``word_unknown``.
    """
    text = _code(cell)
    if text is None or text in ("无", "无残疾"):
        return None
    text = text.removesuffix("残疾").removesuffix("级")
    grade = _NUMERALS.get(text) or _ROMAN.get(text)
    if grade is None or grade > 4:
        raise CellRejected("word_unknown")
    return grade


@lru_cache(maxsize=65_536)
def _folded(text: str) -> str:
    return compact(text)


def _code(cell: Cell) -> str | None:
    """Return a short code or word without spaces, in capitals; None if the cell is empty or a placeholder."""
    if cell is None:
        return None
    text = _folded(cell) if isinstance(cell, str) else number_text(cell)
    if text in _NO_ANSWER or (text == "无" and not isinstance(cell, bool)):
        return None
    return text
