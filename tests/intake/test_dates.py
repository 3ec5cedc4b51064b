"""Dates as departments write them; an incomplete date is rejected and never completed."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.dates import read_date
from services.intake.domain.problem import CellRejected
from services.intake.domain.text import Cell

TODAY = date(2026, 11, 23)
FORMATS = [
    "{0:%Y-%m-%d}",
    "{0:%Y/%m/%d}",
    "{0.year}.{0.month}.{0.day}",
    "{0.year}-{0.month}-{0.day}",
    "{0.year}年{0.month}月{0.day}日",
    "{0:%Y}年{0:%m}月{0:%d}",
    "{0:%Y%m%d}",
    "{0:%Y-%m-%d} 00:00:00",
    "{0:%Y-%m-%d}T08:30:00",
    "{0:%Y/%m/%d} 8:30",
    " {0.year} 年 {0.month} 月 {0.day} 日 ",
    "'{0:%Y-%m-%d}",
]
days = st.dates(date(1900, 3, 1), TODAY)


def code_of_rejection(cell: Cell, **options: bool) -> str:
    with pytest.raises(CellRejected) as caught:
        read_date(cell, on=TODAY, **options)
    return caught.value.code


@given(days, st.sampled_from(FORMATS))
def test_every_usual_format_is_read_as_the_same_day(day: date, date_format: str) -> None:
    text = date_format.format(day)

    assert read_date(text, on=TODAY) == day
    assert read_date(text.translate(str.maketrans("0123456789", "０１２３４５６７８９")), on=TODAY) == day


@given(days)
def test_a_spreadsheets_serial_number_is_its_day(day: date) -> None:
    serial = (day - date(1899, 12, 30)).days

    if not (1900 <= serial <= 2100):
        assert read_date(serial, on=TODAY) == day
        assert read_date(serial + 0.5, on=TODAY) == day
    if serial >= 10_000:
        assert read_date(str(serial), on=TODAY) == day


@given(st.dates(date(1910, 1, 1), TODAY))
def test_serials_count_from_1904_only_when_the_sender_says_so(day: date) -> None:
    serial = (day - date(1904, 1, 1)).days
    if 1900 <= serial <= 2100:
        return

    assert read_date(serial, on=TODAY, date_1904=True) == day
    assert read_date(serial, on=TODAY) == day - timedelta(days=1462)


@pytest.mark.parametrize(
    ("serial", "day"),
    [(1, date(1900, 1, 1)), (59, date(1900, 2, 28)), (61, date(1900, 3, 1)), (42075, date(2015, 3, 12))],
)
def test_serials_around_29_february_1900(serial: int, day: date) -> None:
    assert read_date(serial, on=TODAY) == day
    assert code_of_rejection(60) == "date_impossible"


@pytest.mark.parametrize("cell", [20150312, 20150312.0, "20150312", "20150312000000"])
def test_eight_digits_are_a_day(cell: Cell) -> None:
    assert read_date(cell, on=TODAY) == date(2015, 3, 12)


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("2015年3月", "date_partial"),
        ("2015-03", "date_partial"),
        ("2015.3", "date_partial"),
        (2015.3, "date_partial"),
        ("201503", "date_partial"),
        (201503, "date_partial"),
        ("2015", "date_partial"),
        (2015, "date_partial"),
        ("2015年", "date_partial"),
        ("2015-00-00", "date_partial"),
        ("2015-03-00", "date_partial"),
        ("20150300", "date_partial"),
        ("0000-00-00", "date_unreadable"),
        ("0000-00-00 00:00:00", "date_unreadable"),
        ("00000000", "date_unreadable"),
        ("2015-02-29", "date_impossible"),
        ("2015-02-30", "date_impossible"),
        ("20150230", "date_impossible"),
        (20150230, "date_impossible"),
        ("2015-13-01", "date_impossible"),
        ("农历二月初二", "date_lunar"),
        ("2015年腊月初八", "date_lunar"),
        ("15.3.12", "date_unreadable"),
        ("3/12/2015", "date_unreadable"),
        ("去年", "date_unreadable"),
        (0, "date_unreadable"),
        (-1, "date_unreadable"),
        (99999999999, "date_unreadable"),
        ("1899-12-31", "date_too_old"),
    ],
)
def test_an_incomplete_or_unreadable_date_is_rejected(cell: Cell, code: str) -> None:
    assert code_of_rejection(cell) == code


def test_29_february_is_a_day_in_leap_years_only() -> None:
    assert read_date("2016-02-29", on=TODAY) == date(2016, 2, 29)
    assert code_of_rejection("2015-02-29") == "date_impossible"


def test_tomorrow_is_refused_and_today_is_not() -> None:
    assert read_date("2026-11-23", on=TODAY) == TODAY
    assert code_of_rejection("2026-11-24") == "date_future"
    assert read_date("2026-11-24", on=TODAY, future=True) == date(2026, 11, 24)


@pytest.mark.parametrize("cell", [None, "", "  ", "-", "/", "不详", "无", True])
def test_an_empty_cell_is_no_date_and_no_problem(cell: Cell) -> None:
    assert read_date(cell, on=TODAY) is None


@given(st.text(max_size=30) | st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_any_text_gives_a_date_or_a_known_problem(cell: Cell) -> None:
    if not isinstance(cell, str) and not -1e21 < (cell or 0) < 1e21:
        return
    try:
        day = read_date(cell, on=TODAY)
    except CellRejected:
        return
    assert day is None or date(1900, 1, 1) <= day <= TODAY
