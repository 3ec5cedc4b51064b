"""Administrative divisions: current codes, abolished codes and unambiguous names."""

import pytest

from services.intake.domain.divisions import ABROAD, Division, Divisions
from services.intake.domain.problem import CellRejected
from services.intake.domain.text import Cell

TABLE = Divisions(
    "341722",
    (
        Division("341722", "石台县"),
        Division("341702", "贵池区"),
        Division("341701", "池州市市辖区"),
        Division("341721", "东至县"),
        Division("341003", "黄山区"),
        Division("341001", "黄山市市辖区"),
        Division("340181", "巢湖市"),
        Division("342922", "石台县", "341722"),
        Division("342102", "亳州市", "341602"),
        Division("330106", "西湖区"),
        Division("361128", "鄱阳县"),
        Division("310115", "浦东新区"),
        Division("341111", "同名县"),
        Division("341112", "同名县"),
    ),
    (("341722100", "仁里镇"), ("341722104", "小河镇")),
)


def code_of_rejection(reader: object, cell: Cell) -> str:
    with pytest.raises(CellRejected) as caught:
        reader(cell)  # type: ignore[operator]
    return caught.value.code


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("341722", "341722"),
        (341722, "341722"),
        (341722.0, "341722"),
        ("３４１７２２", "341722"),
        ("341722100", "341722100"),
        ("341722100201", "341722100201"),
        ("341722100000", "341722100"),
        ("341722000000", "341722"),
        ("341722石台县", "341722"),
        ("342922", "341722"),
        ("342922100", "341722"),  # what became of the township's number is not known
        ("341701", "341701"),  # a district of the city, unsaid which
        ("441900", "441900"),
        ("510104", "510104"),  # the table is a selection outside the province
        ("810000", "810000"),
        ("石台县", "341722"),
        ("石台", "341722"),
        ("安徽石台", "341722"),
        ("安徽省池州市石台县", "341722"),
        ("安徽省石台县仁里镇", "341722"),
        ("池州市贵池区", "341702"),
        ("安徽省黄山市黄山区", "341003"),
        ("巢湖市", "340181"),
        ("江西省上饶市鄱阳县", "361128"),
        ("上海市浦东新区", "310115"),
        ("香港", "810000"),
        ("台湾省台北市", "830000"),
        ("国外", ABROAD),
        ("", None),
        (None, None),
        ("不详", None),
    ],
)
def test_a_hukou_division_is_read(cell: Cell, code: str | None) -> None:
    assert TABLE.read_hukou(cell) == code


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("341799", "division_unknown"),  # the province's list is complete
        ("001722", "division_unknown"),
        ("341700", "division_too_wide"),
        ("340000", "division_too_wide"),
        ("330100", "division_too_wide"),
        ("安徽省", "division_too_wide"),
        ("池州市", "division_too_wide"),
        ("34172", "division_unreadable"),
        ("3417221", "division_unreadable"),
        ("安徽黄山", "division_unreadable"),  # a district and a city
        ("同名县", "division_unreadable"),
        ("西湖区", "division_unreadable"),  # there are others elsewhere
        ("浙江西湖区", "division_unreadable"),
        ("亳州市", "division_too_wide"),  # the old county of that name is not meant
        ("某地", "division_unreadable"),
        (True, "division_unreadable"),
    ],
)
def test_an_ambiguous_or_unknown_hukou_division_is_rejected(cell: Cell, code: str) -> None:
    assert code_of_rejection(TABLE.read_hukou, cell) == code


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("341722100", "341722100"),
        ("341722100201", "341722100201"),
        ("仁里镇", "341722100"),
        ("石台县仁里镇", "341722100"),
        ("安徽省池州市石台县小河镇某村", "341722104"),
        ("341721100", "341721100"),  # another county's townships are not listed
    ],
)
def test_a_division_of_residence_is_read(cell: Cell, code: str) -> None:
    assert TABLE.read_residence(cell) == code


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("341722", "division_no_township"),
        ("石台县", "division_no_township"),
        ("东至县小河镇", "division_no_township"),  # a township of the same name elsewhere
        ("341722401", "division_not_township"),
        ("某村", "division_unreadable"),
    ],
)
def test_a_division_of_residence_without_a_township_is_rejected(cell: Cell, code: str) -> None:
    assert code_of_rejection(TABLE.read_residence, cell) == code


def test_the_county_of_an_insurance_has_six_digits() -> None:
    assert TABLE.read_county("341722100") == "341722"
