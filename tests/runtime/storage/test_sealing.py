"""A sealed value opens only with its key and its context."""

import pytest

from runtime.storage.sealing import BadKey, CannotOpen, Opener, Sealer, key_id, new_keys, sealed_to


def test_each_value_of_a_sealed_batch_opens_with_its_own_context() -> None:
    private, public = new_keys()
    batch = Sealer(public).batch()
    sealed = [batch.seal(f"name {number}".encode(), b"record %d" % number) for number in range(50)]
    opener = Opener(private)
    assert [opener.open(value, b"record %d" % n) for n, value in enumerate(sealed)] == [
        b"name %d" % n for n in range(50)
    ]
    assert len({value[:89] for value in sealed}) == 1, "one data key, wrapped once"
    assert len({value[89:101] for value in sealed}) == 50, "no nonce twice"
    assert len(sealed[0]) == len(b"name 0") + 117


def test_a_value_of_one_record_does_not_open_as_anothers() -> None:
    private, public = new_keys()
    sealed = Sealer(public).batch().seal(b"name", b"record 1")
    with pytest.raises(CannotOpen):
        Opener(private).open(sealed, b"record 2")


@pytest.mark.parametrize("position", [0, 3, 20, 60, 95, 105, -1])
def test_a_changed_byte_is_detected(position: int) -> None:
    private, public = new_keys()
    sealed = bytearray(Sealer(public).batch().seal(b"name", b"aad"))
    sealed[position] ^= 1
    with pytest.raises(CannotOpen):
        Opener(private).open(bytes(sealed), b"aad")


def test_values_name_the_key_that_sealed_them() -> None:
    old_private, old_public = new_keys()
    new_private, new_public = new_keys()
    old = Sealer(old_public).batch().seal(b"old", b"")
    new = Sealer(new_public).batch().seal(b"new", b"")
    both = Opener([old_private, new_private])
    assert (both.open(old, b""), both.open(new, b"")) == (b"old", b"new")
    assert (sealed_to(old), sealed_to(new)) == (key_id(old_public), key_id(new_public))
    with pytest.raises(CannotOpen, match="which is not here"):
        Opener(new_private).open(old, b"")


def test_two_batches_share_no_data_key() -> None:
    _, public = new_keys()
    sealer = Sealer(public)
    assert sealer.batch().seal(b"same", b"") != sealer.batch().seal(b"same", b"")


@pytest.mark.parametrize("text", ["", "short", "!" * 43, "A" * 44])
def test_a_bad_key_is_rejected_without_being_shown(text: str) -> None:
    with pytest.raises(BadKey) as rejected:
        Sealer(text)
    assert not text or text not in str(rejected.value)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x02" + bytes(200), b"\x01" + bytes(116)])
def test_bytes_that_were_never_sealed_do_not_open(sealed: bytes) -> None:
    private, _ = new_keys()
    with pytest.raises(CannotOpen):
        Opener(private).open(sealed, b"")
