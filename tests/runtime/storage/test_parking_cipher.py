"""Parked records are encrypted with keys from the secrets file."""

import pytest

from runtime import MissingSecret, Settings
from runtime.storage.parking_cipher import ParkingCipher


def test_parking_needs_its_keys() -> None:
    with pytest.raises(MissingSecret, match="parking_key"):
        ParkingCipher(Settings())
