"""A county's folder comes into an installation with its agencies' keys, and only if nothing is wrong with it."""

from pathlib import Path

import pytest

from county.checks import check
from county.problem import CountyInvalid
from county.reader import load
from deploy.install import read_county
from services.eligibility.requirements import REQUIREMENTS
from tests.county import FOLDER, a_county, copy_county, replace_in_file
from tests.county.test_checks import BREAKS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_county(tmp_path)


def test_public_keys_come_at_activation(tmp_path: Path) -> None:
    """A log-in whose agency has handed in none gets a pair of its installation's; nobody else does."""
    assert all(unit.public_key is unit.restricted_public_key is None for unit in a_county().units)
    county = read_county(FOLDER, tmp_path)
    agencies = {unit.id for unit in county.units if "agency" in unit.families}
    restricted = {unit.id for unit in county.units if "restricted_agency" in unit.families}
    assert {unit.id for unit in county.units if unit.public_key is not None} == agencies
    assert {unit.id for unit in county.units if unit.restricted_public_key is not None} == restricted < agencies
    keys = [key for unit in county.units for key in (unit.public_key, unit.restricted_public_key) if key is not None]
    assert len(set(keys)) == len(agencies) + len(restricted)
    files = {file.name.removesuffix(".jwk.json") for file in (tmp_path / "agencies").iterdir()}
    assert files == agencies | {f"{unit}-restricted" for unit in restricted}


@pytest.mark.parametrize("name", ["a length of stay below nought", "a unit under another's id"])
def test_what_the_check_refuses_comes_into_no_house(name: str, folder: Path, tmp_path: Path) -> None:
    """It has the form of a county: who starts a house on it is told what `hutong county check` says."""
    broken = BREAKS[name]
    replace_in_file(folder, broken.file, broken.old, broken.new)
    load(folder)
    with pytest.raises(CountyInvalid, match=broken.says) as refused:
        read_county(folder, tmp_path / "home")
    assert refused.value.problems == check(folder, REQUIREMENTS)
