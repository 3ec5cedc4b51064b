"""Invented children and the rows of units about them. No real name has 例, and no division the code 990000."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from stdnum.iso7064 import mod_11_2

from contracts.vocabulary import FactName, IdentityField

BORN = date(2016, 3, 5)


def a_number(born: date = BORN, sequence: int = 1) -> str:
    """Return a valid ID number of a division that does not exist."""
    first = f"990000{born:%Y%m%d}{sequence:03d}"
    return first + str(mod_11_2.calc_check_digit(first))


MOTHER = a_number(date(1988, 7, 1), 2)
FATHER = a_number(date(1986, 2, 9), 1)
PHONE = "19900000001"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of one unit, with its ordinary content."""

    key: str
    """Identifies the row in every file."""
    unit: str = "341722-jtj"
    dataset: str = "school"
    period: str | None = "2026H2"
    valid_on: date = date(2026, 9, 30)
    born: date | None = BORN
    identity: Mapping[IdentityField, str] = field(default_factory=dict)
    facts: Mapping[FactName, bool | int | str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()


def a_row(key: str = "row", **changes: object) -> Row:
    """Return the row of an ordinary pupil with an ID number, a mother and a phone."""
    identity = {
        IdentityField.NAME: "例小明",
        IdentityField.ID_NUMBER: a_number(),
        IdentityField.GUARDIAN_NAME: "例妈妈",
        IdentityField.GUARDIAN_ID_NUMBER: MOTHER,
        IdentityField.GUARDIAN_PHONE: PHONE,
    }
    for name in list(changes):
        if name in IdentityField.__members__.values():
            text = changes.pop(name)
            if text is None:
                identity.pop(IdentityField(name), None)
            else:
                identity[IdentityField(name)] = str(text)
    row = Row(key, identity=identity, facts={FactName.SCHOOL_GRADE: 4})
    return replace(row, **changes)  # type: ignore[arg-type]


def police(row: Row, **changes: object) -> Row:
    """Return the same child's row in the register of the police."""
    changed = {"unit": "341722-gaj", "dataset": "hukou", "facts": {FactName.HUKOU_DIVISION: "341702"}} | changes
    return replace(row, key=f"hukou/{row.key}", **changed)  # type: ignore[arg-type]


def clinic(row: Row, **changes: object) -> Row:
    """Return the same child's row in the register of the clinic, without an ID number."""
    identity = {name: text for name, text in row.identity.items() if name is not IdentityField.ID_NUMBER}
    changed = {
        "unit": "341722-wjw",
        "dataset": "vaccination",
        "identity": identity,
        "facts": {FactName.VACCINATION_STATUS: "complete"},
    } | changes
    return replace(row, key=f"vaccination/{row.key}", **changed)  # type: ignore[arg-type]


def village(row: Row, **changes: object) -> Row:
    """Return the same child's row on a village's handwritten list, without an ID number."""
    return replace(clinic(row, **changes), key=f"village/{row.key}", unit="341722-renli", dataset="village")
