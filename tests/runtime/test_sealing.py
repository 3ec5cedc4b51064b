"""What is sealed opens with the right key and purpose, and with nothing else."""

import pytest

from runtime.storage.sealing import BadKey, CannotOpen, Opener, Sealer, key_id, new_keys, sealed_to


def test_a_batch_opens_string_by_string_under_what_each_belongs_to() -> None:
    private, public = new_keys()
    batch = Sealer(public).batch()
    sealed = [batch.seal(f"name {number}".encode(), b"record %d" % number) for number in range(50)]
    opener = Opener(private)
    assert [opener.open(one, b"record %d" % n) for n, one in enumerate(sealed)] == [b"name %d" % n for n in range(50)]
    assert len({one[:89] for one in sealed}) == 1, "one data key, wrapped once"
    assert len({one[89:101] for one in sealed}) == 50, "no nonce twice"
    assert len(sealed[0]) == len(b"name 0") + 117


def test_what_belongs_to_one_record_does_not_open_as_another() -> None:
    private, public = new_keys()
    sealed = Sealer(public).batch().seal(b"name", b"record 1")
    with pytest.raises(CannotOpen):
        Opener(private).open(sealed, b"record 2")


@pytest.mark.parametrize("place", [0, 3, 20, 60, 95, 105, -1])
def test_any_changed_byte_is_noticed(place: int) -> None:
    private, public = new_keys()
    sealed = bytearray(Sealer(public).batch().seal(b"name", b"aad"))
    sealed[place] ^= 1
    with pytest.raises(CannotOpen):
        Opener(private).open(bytes(sealed), b"aad")


def test_keys_rotate_and_each_says_which_it_is() -> None:
    old_private, old_public = new_keys()
    new_private, new_public = new_keys()
    old = Sealer(old_public).batch().seal(b"old", b"")
    new = Sealer(new_public).batch().seal(b"new", b"")
    both = Opener([old_private, new_private])
    assert (both.open(old, b""), both.open(new, b"")) == (b"old", b"new")
    assert (sealed_to(old), sealed_to(new)) == (key_id(old_public), key_id(new_public))
    with pytest.raises(CannotOpen, match="which is not here"):
        Opener(new_private).open(old, b"")


def test_two_batches_share_nothing() -> None:
    _, public = new_keys()
    sealer = Sealer(public)
    assert sealer.batch().seal(b"same", b"") != sealer.batch().seal(b"same", b"")


@pytest.mark.parametrize("text", ["", "short", "!" * 43, "A" * 44])
def test_a_bad_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(BadKey) as refused:
        Sealer(text)
    assert not text or text not in str(refused.value)


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x02" + bytes(200), b"\x01" + bytes(116)])
def test_what_was_never_sealed_does_not_open(sealed: bytes) -> None:
    private, _ = new_keys()
    with pytest.raises(CannotOpen):
        Opener(private).open(sealed, b"")
