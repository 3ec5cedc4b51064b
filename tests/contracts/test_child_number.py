"""Tests of the short number of a child."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.child_number import (
    InvalidChildNumber,
    check_letter,
    child_id,
    child_number,
    format_child_number,
    parse_child_number,
)

NUMBERS = st.integers(0, 10**12 - 1).map(lambda number: str(number).zfill(12))


@given(NUMBERS)
def test_a_formatted_number_is_parsed_back(number: str) -> None:
    assert parse_child_number(format_child_number(number)) == number


@given(NUMBERS, st.integers(0, 11), st.integers(1, 9))
def test_one_wrong_digit_is_detected(number: str, position: int, by: int) -> None:
    wrong = number[:position] + str((int(number[position]) + by) % 10) + number[position + 1 :]
    with pytest.raises(InvalidChildNumber, match="check"):
        parse_child_number(wrong + check_letter(number))


@given(NUMBERS, st.integers(0, 11), st.integers(0, 11))
def test_two_transposed_digits_are_detected(number: str, one: int, other: int) -> None:
    digits = list(number)
    digits[one], digits[other] = digits[other], digits[one]
    swapped = "".join(digits)
    if swapped != number:
        with pytest.raises(InvalidChildNumber, match="check"):
            parse_child_number(swapped + check_letter(number))


@pytest.mark.parametrize(
    "typed",
    ["482109375516p", "4821 0937 5516 P", "４８２１－０９３７－５５１６－Ｐ", " 4821–0937–5516–p ", "4821.0937.5516.P"],
)
def test_a_number_is_accepted_in_every_usual_form(typed: str) -> None:
    assert check_letter("482109375516") == "P"
    assert parse_child_number(typed) == "482109375516"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("482109375516", "letter_missing"),  # a village's code has twelve digits too
        ("4821-0937-551-P", "length"),
        ("", "length"),
        ("4821-0937-5516-T", "check"),
        ("4821-0937-5516-I", "length"),  # no number ends in I, O or U
    ],
)
def test_an_invalid_number_is_refused_with_the_reason(typed: str, code: str) -> None:
    with pytest.raises(InvalidChildNumber) as refused:
        parse_child_number(typed)
    assert refused.value.code == code


def test_an_id_depends_on_the_county_and_the_number_only() -> None:
    assert child_id("341722", "482109375516") == child_id("341722", "482109375516")
    assert child_id("341722", "482109375516") != child_id("341721", "482109375516")
    assert isinstance(child_id("341722", "482109375516"), UUID)


def test_fewer_digits_provoke_collisions_and_keep_the_format() -> None:
    numbers = {child_number(bytes([n]) * 16, digits=1) for n in range(40)}
    assert len(numbers) <= 10
    assert all(len(number) == 12 for number in numbers)
