"""Ids and hashes of rows need the county's key: without it, nobody can try out numbers or names."""

from runtime.storage.sealing import Sealer, new_keys
from services.intake.secrets import Secrets

NUMBER = ("id_number", "990000201503120011")


def secrets(key: bytes) -> Secrets:
    return Secrets(key, Sealer(new_keys()[1]))


def test_the_id_of_a_row_needs_the_countys_key() -> None:
    ours, theirs = secrets(b"1" * 32), secrets(b"2" * 32)
    made = ours.record_id("341722-jtj", "school", NUMBER)
    assert made == secrets(b"1" * 32).record_id("341722-jtj", "school", NUMBER)
    assert made != theirs.record_id("341722-jtj", "school", NUMBER)
    assert made != ours.record_id("341722-gaj", "school", NUMBER)
    assert made != ours.record_id("341722-jtj", "hukou", NUMBER)


def test_the_hash_of_a_row_needs_the_countys_key() -> None:
    ours, theirs = secrets(b"1" * 32), secrets(b"2" * 32)
    made = ours.content_hash(b"a", b"b")
    assert made == secrets(b"1" * 32).content_hash(b"a", b"b")
    assert made not in {theirs.content_hash(b"a", b"b"), ours.content_hash(b"ab"), ours.content_hash(b"b", b"a")}
