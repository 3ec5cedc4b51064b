"""The facts that each dataset states of a child, and the columns of its files."""

from collections.abc import Callable
from datetime import date, timedelta

from demo.data.identities import age_on
from demo.data.population import HERE, Child, Population

Cell = str | int | float | bool | date | None

_STAGES = ((6, "学前"), (12, "小学"), (15, "初中"), (19, "高中"))
_GRADES = "一二三四五六七八九"


def _who(child: Child) -> dict[str, Cell]:
    return {
        "name": child.name,
        "id_number": child.id_number,
        "sex": "男" if child.sex == 1 else "女",
        "birth_date": child.born,
    }


def _guardian(child: Child) -> dict[str, Cell]:
    family = child.family
    guardian = family.guardian(child.with_father or not child.with_mother)
    return {
        "guardian_name": guardian.name,
        "guardian_phone": guardian.phone,
        "phone": guardian.phone,
        "father_name": family.father.name,
        "mother_name": family.mother.name,
    }


def _school(child: Child, world: Population, day: date) -> dict[str, Cell] | None:
    if child.school is None:
        return None
    year = world.first_day.year
    age = age_on(child.born, date(year, 8, 31))
    grade = age - 5
    since = date(year - (grade - 1 if 1 <= grade <= 6 else max(0, (grade - 7) % 3)), 9, 1)
    if child.came is not None:
        since = max(since, child.came)
    return (
        _who(child)
        | _guardian(child)
        | {
            "row_number": f"G{child.id_number}" if child.id_number else f"J341722{child.key[1:]:0>12}",
            "school": child.school,
            "school_stage": next(name for limit, name in _STAGES if age < limit),
            "school_grade": _GRADES[grade - 1] + "年级" if 1 <= grade <= 9 else None,
            "school_status": "辍学" if "out_of_school" in child.states else "在读",
            "school_since": min(since, day),
            "hukou_division": child.hukou,
            "address": child.family.address,
            "migrant_flag": "是" if child.cohort in ("settled", "six_months") else "否",
        }
    )


def _hukou(child: Child, world: Population, day: date) -> dict[str, Cell] | None:
    if child.hukou is None or child.cohort == "hong_kong":
        return None
    return _who(child) | _guardian(child) | {"hukou_division": child.hukou, "hukou_address": child.family.hukou_address}


def _residence(child: Child, world: Population, day: date) -> dict[str, Cell] | None:
    if child.came is None or child.cohort == "no_hukou":
        return None
    return (
        _who(child)
        | _guardian(child)
        | _dwelling(child)
        | {
            "residence_permit": "是" if child.cohort == "settled" else "否",
            "lives_with_guardian": "否",
        }
    )


def _dwelling(child: Child) -> dict[str, Cell]:
    return {
        "hukou_division": child.hukou,
        "residence_division": child.village,
        "address": child.family.address,
        "residence_since": child.came,
        "lives_with_father": "是" if child.with_father else "否",
        "lives_with_mother": "是" if child.with_mother else "否",
    }


def _vaccination(child: Child, world: Population, day: date) -> dict[str, Cell] | None:
    if age_on(child.born, world.first_day) >= 7:
        return None
    return (
        _who(child)
        | _guardian(child)
        | {
            "other_paper": child.other_paper,
            "row_number": f"3417220001{child.born.year}{child.key[2:]:0>4}",
            "address": child.family.address,
            "vaccination_status": "逾期" if "vaccination_overdue" in child.states else "全程接种",
            "vaccination_file_here": "是",
            "residence_division": child.village,
        }
    )


def _health(child: Child, world: Population, day: date) -> dict[str, Cell] | None:
    if age_on(child.born, world.first_day) >= 7:
        return None
    return (
        _who(child)
        | _guardian(child)
        | {
            "row_number": f"JK{child.key[1:]}",
            "address": child.family.address,
            "health_file_here": "是",
            "health_last_check": day - timedelta(days=20 + int(child.key[1:]) % 60),
            "residence_division": child.village,
        }
    )


def _insurance(child: Child, world: Population, day: date) -> dict[str, Cell] | None:
    if child.id_number is None or child.cohort == "hong_kong":
        return None
    return _who(child) | {
        "insured": "未缴费" if "uninsured" in child.states else "已缴费",
        "insured_year": world.first_day.year,
        "insured_division": HERE,
        "phone": _guardian(child)["phone"],
    }


def _disability(child: Child, world: Population, day: date) -> dict[str, Cell] | None:
    if "disabled" not in child.states:
        return None
    return (
        _who(child)
        | _guardian(child)
        | {
            "row_number": f"{child.id_number}43",
            "disability": "是",
            "disability_kind": "4",
            "disability_grade": "3",
            "disability_certified": "是",
            "rehabilitation": "是",
            "disability_subsidy": "是",
            "hukou_division": child.hukou,
            "address": child.family.address,
        }
    )


def _relief(child: Child, world: Population, day: date) -> dict[str, Cell] | None:
    if "poor" not in child.states:
        return None
    return (
        _who(child)
        | _guardian(child)
        | {
            "dibao": "是",
            "residence_division": child.village,
            "hukou_division": child.hukou,
            "household_size": child.family.size,
        }
    )


def _village(child: Child, world: Population, day: date) -> dict[str, Cell] | None:
    if child.came is None:
        return None
    return (
        _who(child)
        | _guardian(child)
        | _dwelling(child)
        | {
            "school": child.school,
            "lives_with_caretaker": "是" if child.cohort == "without_parents" else "否",
        }
    )


DATASET_FACTS: dict[str, Callable[[Child, Population, date], dict[str, Cell] | None]] = {
    "school": _school,
    "hukou": _hukou,
    "residence": _residence,
    "vaccination": _vaccination,
    "health": _health,
    "insurance": _insurance,
    "disability": _disability,
    "relief": _relief,
    "village": _village,
}

_PERSON = {"name", "id_number", "sex", "birth_date"}
_PARENTS = {"guardian_name", "guardian_phone", "father_name", "mother_name"}
DATASET_FIELDS: dict[str, set[str]] = {
    "school": _PERSON
    | _PARENTS
    | {
        "row_number",
        "school",
        "school_stage",
        "school_grade",
        "school_status",
        "school_since",
        "hukou_division",
        "address",
        "migrant_flag",
    },
    "hukou": _PERSON | {"father_name", "mother_name", "hukou_division", "hukou_address"},
    "residence": _PERSON
    | _PARENTS
    | {
        "hukou_division",
        "residence_division",
        "address",
        "residence_since",
        "residence_permit",
        "lives_with_father",
        "lives_with_mother",
        "lives_with_guardian",
    },
    "vaccination": _PERSON
    | _PARENTS
    | {
        "other_paper",
        "row_number",
        "address",
        "vaccination_status",
        "vaccination_file_here",
        "residence_division",
    },
    "health": _PERSON
    | {
        "guardian_name",
        "guardian_phone",
        "mother_name",
        "row_number",
        "address",
        "health_file_here",
        "health_last_check",
        "residence_division",
    },
    "insurance": _PERSON | {"insured", "insured_year", "insured_division", "phone"},
    "disability": _PERSON
    | {
        "guardian_name",
        "guardian_phone",
        "row_number",
        "disability",
        "disability_kind",
        "disability_grade",
        "disability_certified",
        "rehabilitation",
        "disability_subsidy",
        "hukou_division",
        "address",
    },
    "relief": _PERSON
    | {
        "guardian_name",
        "guardian_phone",
        "dibao",
        "residence_division",
        "hukou_division",
        "household_size",
    },
    "village": _PERSON
    | {
        "guardian_name",
        "guardian_phone",
        "father_name",
        "mother_name",
        "hukou_division",
        "residence_division",
        "address",
        "residence_since",
        "school",
        "lives_with_father",
        "lives_with_mother",
        "lives_with_caretaker",
    },
}
"""The columns of each dataset's submissions."""
