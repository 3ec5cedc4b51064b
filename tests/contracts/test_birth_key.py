"""Tests of the birth key, which brings the records of one child to one partition."""

from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from contracts.intake import ReducedDate, birth_key

RECORD = UUID(int=7)
OTHER = UUID(int=8)


def test_a_month_and_a_day_in_it_share_a_key() -> None:
    assert birth_key("2015-03", RECORD) == birth_key("2015-03-14", OTHER) == birth_key("2015-03-31", RECORD)
    assert birth_key("2015-04-01", RECORD) != birth_key("2015-03-31", RECORD)


@pytest.mark.parametrize("born", [None, "2015"])
def test_a_birth_date_without_a_month_is_keyed_by_the_record(born: str | None) -> None:
    assert birth_key(born, RECORD) == str(RECORD) != birth_key(born, OTHER)


@pytest.mark.parametrize(
    "text", ["2015-3", "15-03", "2015-13", "2015-00", "2015-03-32", "2015-03-14T00:00", "", "二〇一五"]
)
def test_a_date_has_one_written_form(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ReducedDate).validate_python(text)
