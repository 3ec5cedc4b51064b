"""Identity numbers that are valid, that are repaired without loss, and that are rejected."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.id_number import (
    DisabilityCertificate,
    IdNumber,
    OtherDocument,
    has_valid_check_character,
    read_adult_id,
    read_certificate,
    read_id,
)
from services.intake.domain.problem import CellRejected
from services.intake.domain.text import Cell

TODAY = date(2026, 11, 23)
DIGITS = "0123456789"
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
"""The weights of GB 11643-1999, independent of the library that the code under test uses."""


def with_check_character(body: str) -> str:
    return body + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, WEIGHTS, strict=True)) % 11]


def a_number(born: date = date(2015, 3, 12), *, area: str = "341722", sequence: str = "011") -> str:
    """Return an invented number with a valid check character."""
    body = f"{area}{born:%Y%m%d}{sequence}"
    return with_check_character(body)


days = st.dates(date(1930, 1, 1), TODAY)
numbers = st.builds(
    lambda born, area, sequence: a_number(born, area=area, sequence=f"{sequence:03d}"),
    days,
    st.sampled_from(["341722", "342922", "342831", "341799", "110105", "650102", "810000", "830000"]),
    st.integers(1, 999),
).filter(lambda number: not number.endswith("000"))


def code_of_rejection(cell: Cell) -> str:
    with pytest.raises(CellRejected) as caught:
        read_id(cell, on=TODAY)
    return caught.value.code


@given(numbers)
def test_a_valid_number_is_read_whatever_its_region(number: str) -> None:
    """Old codes and codes of Hong Kong, Macao and Taiwan are valid; no table of counties is consulted."""
    read = read_id(number, on=TODAY)

    assert isinstance(read, IdNumber)
    assert read.number == number
    assert f"{read.birth_date:%Y%m%d}" == number[6:14]
    assert read.sex == (1 if int(number[16]) % 2 else 2)


@given(numbers, st.integers(0, 16), st.sampled_from(DIGITS))
def test_a_wrong_digit_is_always_detected(number: str, position: int, digit: str) -> None:
    """The check character detects every substitution; such a number is rejected and never repaired."""
    wrong = number[:position] + digit + number[position + 1 :]
    if wrong == number:
        return

    assert not has_valid_check_character(wrong)
    with pytest.raises(CellRejected):
        read_id(wrong, on=TODAY)


@given(numbers, st.integers(0, 15))
def test_two_swapped_digits_are_always_detected(number: str, position: int) -> None:
    swapped = number[:position] + number[position + 1] + number[position] + number[position + 2 :]
    if swapped == number:
        return

    assert not has_valid_check_character(swapped)


@given(numbers)
def test_a_number_that_a_spreadsheet_stored_as_a_number_is_damaged(number: str) -> None:
    """Three of its digits are lost, as text, in scientific notation, as a float or as an int from a float.

    Some of these pass the checksum by chance.
    """
    digits = number[:17] + ("0" if number[17] == "X" else number[17])

    assert code_of_rejection(f"{digits[:15]}000") == "id_damaged"
    assert code_of_rejection(f"{int(digits):.5E}") == "id_damaged"
    assert code_of_rejection(float(digits)) == "id_damaged"
    assert code_of_rejection(int(float(digits))) == "id_damaged"


def test_a_valid_number_that_ends_in_000_is_read_when_it_is_marked_as_text() -> None:
    """One number in a thousand ends in 000; an apostrophe before it shows that a person typed it as text."""
    number = next(
        candidate
        for hundreds in range(1, 10)
        for day in range(1, 28)
        if (candidate := a_number(date(2015, 3, day), sequence=f"{hundreds}00")).endswith("000")
    )

    assert code_of_rejection(number) == "id_damaged"
    read = read_id(f"'{number}", on=TODAY)
    assert isinstance(read, IdNumber)
    assert read.number == number


@pytest.mark.parametrize(
    "typed",
    [
        "34172220150312001x",
        "34172220150312001Х",  # Cyrillic
        "34172220150312001×",
        "34172220150312001*",
        "３４１７２２２０１５０３１２００１Ｘ",
        " 341722 20150312 001X ",
        "341722-20150312-001X",
        "'34172220150312001X",
        "\u200b34172220150312001X\ufeff",
        "34172220150312001X\n",
    ],
)
def test_a_number_is_repaired_where_nothing_is_lost(typed: str) -> None:
    read = read_id(typed, on=TODAY)

    assert isinstance(read, IdNumber)
    assert read.number == "34172220150312001X"


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("341722********001X", "id_masked"),
        ("3417222015****001X", "id_masked"),
        ("341722XXXXXXXX0110", "id_masked"),
        ("341722150312011", "id_15_digits"),
        (341722150312011, "id_15_digits"),
        ("34172220150312001X31", "id_disability_number"),
        ("341722010120190123", "id_immunization_code"),  # ten of the clinic, birth year, four in sequence
        ("G34172220150312001X", "id_student_number"),
        ("L341722201503120112", "id_student_number"),
        ("J341722201503120112", "id_student_number"),
        ("34172220150312011", "id_length"),
        ("3417222015031201100", "id_length"),
        ("341722201503120111", "id_checksum"),
        (a_number(date(2026, 11, 24)), "id_birth_date"),  # born tomorrow
        (with_check_character("34172218991231011"), "id_birth_date"),
        (with_check_character("34172220150230011"), "id_birth_date"),
        (a_number(area="001722"), "id_region"),
        (a_number(area="991722").replace("99", "17", 1)[:17] + "1", "id_checksum"),
        ("有", "id_unreadable"),
        ("13900000000", "id_length"),
    ],
)
def test_a_rejected_number_has_a_specific_problem(cell: Cell, code: str) -> None:
    assert code_of_rejection(cell) == code


def test_a_child_born_today_has_a_valid_number() -> None:
    assert isinstance(read_id(a_number(TODAY), on=TODAY), IdNumber)


@pytest.mark.parametrize("cell", [None, "", " ", "无", "-", "不详", "/"])
def test_an_empty_cell_is_no_problem(cell: Cell) -> None:
    assert read_id(cell, on=TODAY) is None


def test_a_foreign_residents_card_begins_with_9() -> None:
    read = read_id(a_number(area="931840"), on=TODAY)

    assert isinstance(read, IdNumber)
    assert read.kind == "foreign"


def test_a_residence_permit_of_taiwan_is_a_number_of_its_own_kind() -> None:
    read = read_id(a_number(area="830000"), on=TODAY)

    assert isinstance(read, IdNumber)
    assert read.kind == "hong_kong_macao_taiwan"


@pytest.mark.parametrize("cell", ["H12345678", "ABC123456789012", "E12345678"])
def test_numbers_of_other_documents_are_kept_as_such(cell: str) -> None:
    assert read_id(cell, on=TODAY) == OtherDocument(cell)


def test_a_stated_document_kind_admits_free_forms() -> None:
    assert read_id("X1-99 8", on=TODAY, document_kind="护照") == OtherDocument("X1998")
    assert code_of_rejection("X1-99 8") == "id_unreadable"


def test_a_parents_15_digits_become_the_18_they_have_been_since_1999() -> None:
    read = read_adult_id("341722880312011", on=TODAY)

    assert read == a_number(date(1988, 3, 12), sequence="011")


def test_a_disability_certificate_is_a_number_a_kind_and_a_grade() -> None:
    number = a_number()

    assert read_certificate(f"{number}42", on=TODAY) == DisabilityCertificate(
        IdNumber(number, date(2015, 3, 12), 1, "resident"), 4, 2
    )
    assert read_certificate(f"{number}42B1", on=TODAY) == read_certificate(f"{number}42", on=TODAY)
    for wrong in (f"{number}82", f"{number}45", f"{number}4", "123"):
        with pytest.raises(CellRejected) as caught:
            read_certificate(wrong, on=TODAY)
        assert caught.value.code == "certificate_unreadable"


def test_a_rejection_never_contains_the_content() -> None:
    with pytest.raises(CellRejected) as caught:
        read_id("341722201503120111", on=TODAY)

    assert "341722" not in str(caught.value)
