"""No table or event contains identities in plain text, and nothing is readable without the child's key."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from contracts.registry import ChildChanged, Disclosed, FindingAssigned, RegistryActionRefused
from contracts.vocabulary import IdentityField, ReferralState, Verb
from services.registry import handlers, store
from services.registry.identity import identity_of, report_of
from services.registry.vault import IdentityUnreadable, decrypt, encrypt
from tests.county import a_county
from tests.registry.harness import (
    NOON,
    TODAY,
    Registry,
    a_vault,
    an_action,
    an_id,
    finding_reported,
    only,
    record_disappeared,
    record_read,
    with_keys,
)
from tests.registry.people import FATHER, MOTHER, PHONE, a_number, a_row, clinic, police, village
from tests.registry.test_disclosures import EC, GAJ, public, referral_changed

IDENTITY = {
    IdentityField.NAME: "例小明",
    IdentityField.ADDRESS: "例村12号",
    IdentityField.SCHOOL: "例家中心小学",
    IdentityField.OTHER_PAPER: "E99990001",
    IdentityField.REPORTER: "例老师",
    IdentityField.NARRATIVE: "例：多日无人照看",
}
SECRETS = {
    *IDENTITY.values(),
    "例妈妈",
    "例大山",
    a_number(),
    MOTHER,
    FATHER,
    PHONE,
    "li-xiao-ming",
    "li xiao ming",
}
_NUMBER = re.compile(rb"(?<![0-9a-f])\d{17}[\dXx](?![0-9a-f])")
_PHONE = re.compile(rb"(?<![0-9a-f])1[3-9]\d{9}(?![0-9a-f])")


async def write_every_table(registry: Registry) -> None:
    """Apply records, a review, a finding, a merge, a split and a disclosure, so that every table is written."""
    registry.county = with_keys(a_county(), {GAJ: public(EC)})
    row = a_row(
        **{field.value: text for field, text in IDENTITY.items() if field.value not in ("reporter", "narrative")}
    )
    other = a_row("other", name="例大山", id_number=None, guardian_id_number=None)
    await registry.rows(row, police(row), clinic(row), village(other))
    await registry.rows(a_row("father", name="例大山", id_number=None, father_id_number=FATHER))
    await registry.report(finding_reported(identity=IDENTITY))
    found = replace(clinic(row), key="found", dataset="finding", period=None)
    await registry.consume(record_read(found, finding=an_id("finding")))
    child = await registry.child_of(row)
    await registry.refer(referral_changed(child, 1, ReferralState.SENT))
    await registry.act(
        an_action(Verb.MERGE, child=child, other=await registry.child_of(village(other))),
        an_action(Verb.VERIFY, child=child, outcome="confirmed"),
    )
    await registry.act(an_action(Verb.SPLIT, child=child, records=(an_id("record", police(row).key),)))


async def dump_columns(registry: Registry) -> dict[str, bytes]:
    """Return every column of every table of the schema, as the bytes of a database dump."""
    columns = await registry.tx.fetch(
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'registry'"
    )
    columns_by_name = {}
    for column in columns:
        name = f"{column['table_name']}.{column['column_name']}"
        rows = await registry.tx.fetch(f'SELECT "{column["column_name"]}" AS one FROM "{column["table_name"]}"')
        parts = [row["one"] if isinstance(row["one"], bytes) else str(row["one"]).encode() for row in rows]
        columns_by_name[name] = b"\n".join(parts)
    return columns_by_name


async def test_no_table_contains_a_name_a_number_or_a_phone(registry: Registry) -> None:
    await write_every_table(registry)
    dumps = await dump_columns(registry)
    assert len(dumps) > 80
    assert {name for name, dump in dumps.items() if dump} >= {
        "record.identity", "finding.identity", "review.evidence", "disclosure.digest", "child.file", "blocking_key.key",
    }  # fmt: skip
    for name, dump in dumps.items():
        for secret in SECRETS:
            assert secret.encode() not in dump, f"{name} contains personal data"
            assert secret.encode("utf-16-le") not in dump
        assert not _NUMBER.search(dump), name
        assert not _PHONE.search(dump), name


async def test_no_event_contains_a_name_a_number_or_a_phone(registry: Registry) -> None:
    await write_every_table(registry)
    kinds = {type(event) for event in registry.events}
    assert {ChildChanged, FindingAssigned, Disclosed} <= kinds
    for event in registry.events:
        dump = event.model_dump_json().encode()
        for secret in SECRETS:
            assert secret.encode() not in dump
        assert not _NUMBER.search(dump)
        assert not _PHONE.search(dump)


async def test_the_same_phone_has_another_hash_for_each_birth_date() -> None:
    """A blocking key is useless elsewhere: its hash includes the birth date, and the kind of the value."""
    vault = a_vault()
    assert vault.hash("phone", "2016-03-05", PHONE) != vault.hash("phone", "2016-03-06", PHONE)
    assert vault.hash("phone", "2016-03-05", PHONE) != vault.hash("guardian", "2016-03-05", PHONE)


def test_another_countys_keys_make_other_hashes_and_ids() -> None:
    """The same values have other hashes and other ids with another county's keys."""
    own_vault = a_vault()
    other_vaults = [replace(own_vault, lookup_key=b"another" * 5), replace(own_vault, child_id_key=b"another." * 4)]
    born, identity = a_row().born, dict(a_row().identity)
    evidences = [vault.evidence(an_id("record"), born, identity, ()) for vault in (own_vault, other_vaults[0])]
    assert evidences[0].blocking_keys.isdisjoint(evidences[1].blocking_keys)
    assert evidences[0].names.isdisjoint(evidences[1].names)
    assert own_vault.derived_id("record") != other_vaults[1].derived_id("record")
    assert own_vault.child_number("record", 0) != other_vaults[1].child_number("record", 0)


async def test_without_its_key_a_child_is_unreadable(registry: Registry) -> None:
    await write_every_table(registry)
    child = await registry.child_of(a_row())
    copy = await registry.tx.fetch("SELECT record_id, identity FROM record WHERE child_id = $1", child)
    assert (await identity_of(registry.tx, registry.vault, [child]))[child][IdentityField.ADDRESS] == "例村12号"

    await store.destroy_keys(registry.tx, child)

    assert await identity_of(registry.tx, registry.vault, [child]) == {child: {}}
    assert await report_of(registry.tx, registry.vault, [an_id("finding")]) == {}
    assert await store.child_keys(registry.tx, [child]) == {}
    assert len(copy) > 0
    for row in copy:
        # An old backup of the other tables cannot be decrypted with any remaining key.
        for left in await registry.tx.fetch("SELECT child_id, wrapped FROM child_key"):
            with pytest.raises(IdentityUnreadable):
                decrypt(registry.vault.key(left["child_id"], left["wrapped"]), row["record_id"], row["identity"])


async def test_a_row_after_crypto_shredding_opens_a_new_file(registry: Registry) -> None:
    """The department still reports the child: the old file is neither decrypted nor found by the index."""
    row = a_row(address="例村12号")
    await registry.rows(row, police(row))
    destroyed = await registry.child_of(row)
    await store.destroy_keys(registry.tx, destroyed)

    await registry.rows(a_row())

    child = await registry.child_of(row)
    assert child != destroyed
    identity = await identity_of(registry.tx, registry.vault, [child, destroyed])
    assert identity[destroyed] == {}
    assert identity[child][IdentityField.NAME] == "例小明"
    assert IdentityField.ADDRESS not in identity[child]


@pytest.mark.parametrize("grouped", [False, True])
async def test_nothing_is_added_to_a_destroyed_child(registry: Registry, grouped: bool) -> None:
    """Its only row comes again, with the same and with other content: the row opens a new file."""
    row = a_row()
    await registry.rows(row)
    if grouped:
        other = a_row("other", name="例大山", id_number=None, guardian_id_number=None)
        await registry.rows(other)
        await registry.act(
            an_action(Verb.MERGE, child=await registry.child_of(row), other=await registry.child_of(other))
        )
    destroyed = await registry.child_of(row)
    await store.destroy_keys(registry.tx, destroyed)
    version = (await registry.file(destroyed))["child_version"]

    await registry.rows(row, replace(row, valid_on=TODAY), police(row))
    await registry.consume(record_disappeared(row))
    await registry.rows(row)

    child = await registry.child_of(row)
    assert child != destroyed
    assert await registry.child_of(police(row)) == child
    assert await registry.tx.fetchval("SELECT count(*) FROM child_key WHERE child_id = $1", destroyed) == 0
    assert (await registry.file(destroyed))["child_version"] == version
    assert (await identity_of(registry.tx, registry.vault, [destroyed]))[destroyed] == {}


@pytest.mark.parametrize("verb", [Verb.VERIFY, Verb.MERGE, Verb.SPLIT])
async def test_actions_on_a_destroyed_child_are_refused(registry: Registry, verb: Verb) -> None:
    row, other = a_row(), a_row("other", name="例大山", id_number=None, guardian_id_number=None)
    await registry.rows(row, other)
    child, second = await registry.child_of(row), await registry.child_of(other)
    await store.destroy_keys(registry.tx, child)
    for kept, gone in ((child, second), (second, child)):
        emitted = await registry.act(an_action(verb, records=(an_id("record", "other"),), child=kept, other=gone))
        if verb is Verb.VERIFY and kept == second:
            assert emitted == []
            continue
        [refused] = only(emitted, RegistryActionRefused)
        assert refused.code == "unknown_child"


async def test_a_finding_about_a_destroyed_child_is_assigned_to_a_candidate(registry: Registry) -> None:
    await registry.rows(a_row())
    destroyed = await registry.child_of(a_row())
    await store.destroy_keys(registry.tx, destroyed)

    emitted = await registry.report(finding_reported(child=destroyed, identity=IDENTITY))

    [assigned] = only(emitted, FindingAssigned)
    assert assigned.child != destroyed
    assert assigned.candidate
    assert await store.child_keys(registry.tx, [destroyed]) == {}
    assert (await identity_of(registry.tx, registry.vault, [assigned.child]))[assigned.child][
        IdentityField.NAME
    ] == "例小明"


async def test_a_candidate_destroyed_before_its_finding_arrives_delays_nothing(registry: Registry) -> None:
    found = replace(clinic(a_row()), key="found", dataset="finding", period=None)
    await registry.consume(record_read(found, finding=an_id("finding")))
    destroyed = await registry.child_of(found)
    await store.destroy_keys(registry.tx, destroyed)

    [assigned] = only(await registry.report(finding_reported(identity=IDENTITY)), FindingAssigned)
    await registry.consume(record_read(found, finding=an_id("finding"), at=NOON + timedelta(minutes=1)))

    assert assigned.child == destroyed
    assert await registry.child_of(found) != destroyed
    assert await report_of(registry.tx, registry.vault, [an_id("finding")]) == {}
    assert await store.child_keys(registry.tx, [destroyed]) == {}


async def test_names_of_a_destroyed_child_are_not_compared(registry: Registry) -> None:
    """A name with a lost character is compared with the index hits of its keys, and no key finds a destroyed child."""
    one = a_row(name="张子轩", guardian_id_number=None, guardian_name=None)
    await registry.rows(one)
    await store.destroy_keys(registry.tx, await registry.child_of(one))
    assert await registry.count("blocking_key") == 0
    lead = a_row("lead", name="张□轩", id_number=None, guardian_id_number=None, guardian_name=None)
    emitted = await registry.rows(lead)
    assert {type(event) for event in emitted} == {ChildChanged}


async def test_destroying_an_absorbed_id_destroys_the_survivor(registry: Registry) -> None:
    one, other = a_row("one"), a_row("other", name="例大山", id_number=None, guardian_id_number=None)
    await registry.rows(one, other)
    first, second = await registry.child_of(one), await registry.child_of(other)
    await registry.act(an_action(Verb.MERGE, child=first, other=second))
    await store.destroy_keys(registry.tx, second)
    assert await identity_of(registry.tx, registry.vault, [first, second]) == {first: {}, second: {}}
    assert await registry.count("child_key") == 0


async def test_crypto_shredding_waits_for_a_concurrent_merge(registry: Registry, database: Any) -> None:
    one, other = a_row("one"), a_row("other", name="例大山", id_number=None, guardian_id_number=None)
    await registry.rows(one, other)
    first, second = await registry.child_of(one), await registry.child_of(other)
    shredder = Registry(await asyncpg.connect(database.dsn, server_settings={"search_path": "registry"}))

    async def destroy() -> None:
        async with shredder.tx.transaction():
            await store.destroy_keys(shredder.tx, second)

    async with registry.tx.transaction():
        merge = registry.batch([an_action(Verb.MERGE, child=first, other=second)], "intake.action.v1", 1)
        await handlers.on_actions(merge, registry.tx, vault=registry.vault)
        destruction = asyncio.create_task(destroy())
        assert await registry.blocks(shredder, destruction)
    await destruction

    assert await registry.count("child_key") == 0
    await shredder.tx.close()


async def test_a_merge_and_a_split_re_encrypt_records_with_the_key_of_their_file(registry: Registry) -> None:
    """The other child remains readable when one key is destroyed, whichever file their records were in meanwhile."""
    one, other = a_row("one"), a_row("other", name="例大山", id_number=None, guardian_id_number=None)
    await registry.rows(one, other)
    first, second = await registry.child_of(one), await registry.child_of(other)
    await registry.act(
        an_action(Verb.MERGE, child=first, other=second), an_action(Verb.SPLIT, name="undo", child=first, other=second)
    )
    await store.destroy_keys(registry.tx, first)
    assert (await identity_of(registry.tx, registry.vault, [second]))[second][IdentityField.NAME] == "例大山"


async def test_destroying_a_survivor_destroys_its_absorbed_files(registry: Registry) -> None:
    [assigned] = only(await registry.report(finding_reported(identity=IDENTITY)), FindingAssigned)
    await registry.rows(a_row())
    child = await registry.child_of(a_row())
    await registry.act(an_action(Verb.MERGE, child=child, other=assigned.child))

    await store.destroy_keys(registry.tx, child)

    assert await report_of(registry.tx, registry.vault, [an_id("finding")]) == {}
    assert await registry.count("child_key") == 0


def test_a_key_decrypts_only_values_of_its_own_context() -> None:
    vault = a_vault()
    key = vault.new_key(an_id("child"))
    encrypted = encrypt(key, an_id("record"), {IdentityField.NAME: "例小明"})
    assert decrypt(key, an_id("record"), encrypted) == {IdentityField.NAME: "例小明"}
    with pytest.raises(IdentityUnreadable):
        decrypt(key, an_id("another record"), encrypted)
    with pytest.raises(IdentityUnreadable):
        decrypt(vault.new_key(an_id("child")), an_id("record"), encrypted)
    with pytest.raises(IdentityUnreadable):
        vault.key(an_id("another child"), key.wrapped)


def test_the_vaults_representation_contains_no_secret() -> None:
    vault: Any = a_vault()
    assert "lookuplookup" not in repr(vault)
    assert "child-id" not in repr(vault)
