"""An agency reads the fields that its route names while it has the referral, and nothing else."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from joserfc import jwe, jwk
from joserfc.errors import JoseError

from contracts.referral import ReferralChanged
from contracts.registry import Disclosed, FindingAssigned, RegistryActionRefused
from contracts.vocabulary import IdentityField, Level, ReferralState, Transition, Verb
from services.registry import store
from services.registry.disclosures import public_key
from tests.county import a_county
from tests.registry.harness import TODAY, Registry, an_action, an_id, finding_reported, only, record_read, with_keys
from tests.registry.people import MOTHER, PHONE, a_row, clinic

GAJ, WJW = "341722-gaj", "341722-wjw"
SENT_AT = datetime(2026, 11, 23, 5, tzinfo=UTC)
EC = jwk.ECKey.generate_key("P-256", {"use": "enc", "alg": "ECDH-ES+A256KW"})
OKP = jwk.OKPKey.generate_key("X25519", {"use": "enc"})
SECOND = jwk.ECKey.generate_key("P-256", {"use": "enc", "alg": "ECDH-ES+A256KW"})
RSA = jwk.RSAKey.generate_key(2048, {"use": "enc"})
WHITELIST = (IdentityField.NAME, IdentityField.GUARDIAN_PHONE, IdentityField.ADDRESS)


def public(key: Any) -> str:
    return json.dumps(key.as_dict(private=False))


@pytest.fixture
async def registry(registry: Registry) -> Registry:
    """Only the police and the health commission have submitted their keys."""
    registry.county = with_keys(a_county(), {GAJ: public(EC), WJW: public(OKP)})
    return registry


def referral_changed(
    child: UUID,
    version: int,
    state: ReferralState,
    *,
    transition: Transition = Transition.SENT,
    to: str = GAJ,
    **changes: Any,
) -> ReferralChanged:
    fields: dict[str, Any] = {
        "child": child,
        "restricted": False,
        "on": TODAY,
        "referral": an_id("referral"),
        "version": version,
        "transition": transition,
        "state": state,
        "route": "R13",
        "level": Level.L2,
        "findings": (),
        "finding": None,
        "item": None,
        "from_unit": "341722-mzj",
        "to_unit": to,
        "township": None,
        "whitelist": WHITELIST,
        "sent_at": SENT_AT,
        "accept_by": None,
        "result_by": None,
        "call_first": False,
        "phone_reported": False,
        "actor_unit": None,
        "actor_role": None,
    }
    return ReferralChanged(**(fields | changes))


async def a_child(registry: Registry) -> UUID:
    await registry.rows(a_row())
    return await registry.child_of(a_row())


def decrypted(disclosed: Disclosed, key: Any = EC) -> dict[str, str]:
    """Decrypt as the departments' guide shows: with the library's defaults and the agency's own key."""
    assert disclosed.jwe is not None
    fields: dict[str, str] = json.loads(jwe.decrypt_compact(disclosed.jwe, key).plaintext or b"")
    return fields


async def test_the_agency_reads_the_fields_of_its_route_and_no_others(registry: Registry) -> None:
    emitted = await registry.refer(referral_changed(await a_child(registry), 1, ReferralState.SENT))

    [disclosed] = only(emitted, Disclosed)
    assert disclosed.topic_name == "disclosure.341722-gaj.v1"
    assert decrypted(disclosed) == {"name": "例小明", "guardian_phone": PHONE}
    assert disclosed.fields == (IdentityField.GUARDIAN_PHONE, IdentityField.NAME)


async def test_another_key_cannot_read_a_disclosure(registry: Registry) -> None:
    [disclosed] = only(
        await registry.refer(referral_changed(await a_child(registry), 1, ReferralState.SENT)), Disclosed
    )
    with pytest.raises(JoseError):
        decrypted(disclosed, jwk.ECKey.generate_key("P-256"))


@pytest.mark.parametrize(("unit", "key"), [(GAJ, EC), (WJW, OKP)])
async def test_the_header_names_the_key_the_referral_and_the_unit(registry: Registry, unit: str, key: Any) -> None:
    [disclosed] = only(
        await registry.refer(referral_changed(await a_child(registry), 1, ReferralState.SENT, to=unit)), Disclosed
    )
    assert disclosed.jwe is not None
    header = jwe.decrypt_compact(disclosed.jwe, key).headers()
    assert header["alg"] == "ECDH-ES+A256KW"
    assert header["enc"] == "A256GCM"
    assert header["kid"] == key.thumbprint()
    assert _text(header["apu"]) == str(disclosed.referral)
    assert _text(header["apv"]) == unit


async def test_an_agency_with_an_rsa_key_reads_a_disclosure(registry: Registry) -> None:
    registry.county = with_keys(a_county(), {GAJ: public(RSA)})
    [disclosed] = only(
        await registry.refer(referral_changed(await a_child(registry), 1, ReferralState.SENT)), Disclosed
    )
    assert disclosed.jwe is not None
    lenient = jwe.JWERegistry(algorithms=["RSA-OAEP-256", "A256GCM"], strict_check_header=False)
    plain = jwe.decrypt_compact(disclosed.jwe, RSA, registry=lenient)
    assert plain.headers()["referral"] == str(disclosed.referral)
    assert json.loads(plain.plaintext or b"")["name"] == "例小明"


@pytest.mark.parametrize("key", [None, "not a key", '{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}'])
async def test_without_a_usable_key_nothing_is_disclosed(registry: Registry, key: str | None) -> None:
    registry.county = with_keys(a_county(), {} if key is None else {GAJ: key})
    assert await registry.refer(referral_changed(await a_child(registry), 1, ReferralState.SENT)) == []
    assert key is None or public_key(key) is None


@pytest.mark.parametrize("state", [ReferralState.CLOSED, ReferralState.WITHDRAWN, ReferralState.RETURNED])
async def test_a_disclosure_is_withdrawn_when_the_referral_ends(registry: Registry, state: ReferralState) -> None:
    child = await a_child(registry)
    await registry.refer(
        referral_changed(child, 1, ReferralState.SENT), referral_changed(child, 2, ReferralState.ACCEPTED)
    )

    emitted = await registry.refer(referral_changed(child, 3, state, transition=Transition.CLOSED))

    [tombstone] = only(emitted, Disclosed)
    assert tombstone.tombstone
    assert (tombstone.unit, tombstone.referral) == (GAJ, an_id("referral"))
    assert await registry.rows(replace(a_row(), facts={})) != [tombstone]


async def test_a_rerouted_referral_is_disclosed_to_the_new_unit_and_withdrawn_from_the_former(
    registry: Registry,
) -> None:
    child = await a_child(registry)
    await registry.refer(referral_changed(child, 1, ReferralState.SENT))

    emitted = await registry.refer(
        referral_changed(child, 2, ReferralState.SENT, transition=Transition.REROUTED, to=WJW, previous_unit=GAJ)
    )

    tombstone, disclosed = only(emitted, Disclosed)
    assert (tombstone.unit, tombstone.tombstone) == (GAJ, True)
    assert (disclosed.unit, disclosed.tombstone) == (WJW, False)
    assert decrypted(disclosed, OKP)["name"] == "例小明"


async def test_a_reopened_referral_is_disclosed_again(registry: Registry) -> None:
    child = await a_child(registry)
    await registry.refer(
        referral_changed(child, 1, ReferralState.SENT), referral_changed(child, 2, ReferralState.CLOSED)
    )
    [disclosed] = only(
        await registry.refer(referral_changed(child, 3, ReferralState.SENT, transition=Transition.REOPENED)), Disclosed
    )
    assert not disclosed.tombstone
    assert await registry.complete_the_day() == []


async def test_transitions_that_change_no_holder_disclose_nothing(registry: Registry) -> None:
    child = await a_child(registry)
    await registry.refer(referral_changed(child, 1, ReferralState.SENT))
    emitted = await registry.refer(
        referral_changed(child, 2, ReferralState.ACCEPTED, transition=Transition.ACCEPTED),
        referral_changed(child, 3, ReferralState.IN_PROGRESS, transition=Transition.STARTED),
        referral_changed(child, 3, ReferralState.CLOSED, transition=Transition.CLOSED),
    )
    assert emitted == []


async def test_a_draft_discloses_nothing(registry: Registry) -> None:
    assert await registry.refer(referral_changed(await a_child(registry), 1, ReferralState.DRAFT)) == []


async def test_a_changed_identity_is_disclosed_again(registry: Registry) -> None:
    child = await a_child(registry)
    await registry.refer(referral_changed(child, 1, ReferralState.SENT))

    emitted = await registry.rows(a_row(guardian_phone="19900000002", valid_on=TODAY))

    [disclosed] = only(emitted, Disclosed)
    assert decrypted(disclosed)["guardian_phone"] == "19900000002"
    assert only(await registry.rows(a_row(guardian_phone="19900000002", valid_on=TODAY)), Disclosed) == []


async def test_a_field_that_the_route_does_not_name_is_not_disclosed_again(registry: Registry) -> None:
    child = await a_child(registry)
    await registry.refer(referral_changed(child, 1, ReferralState.SENT))
    assert only(await registry.rows(a_row(school="例小学")), Disclosed) == []


async def test_a_disclosure_about_another_child_is_withdrawn(registry: Registry) -> None:
    """All identity fields of the child came from a row that a person splits off."""
    row = a_row()
    other = a_row("other", name="例大山", id_number=None, guardian_id_number=None, guardian_name=None)
    await registry.rows(row, replace(other, identity={IdentityField.SCHOOL: "例小学"}))
    child, second = await registry.child_of(row), await registry.child_of(other)
    await registry.act(an_action(Verb.MERGE, child=second, other=child))
    [disclosed] = only(await registry.refer(referral_changed(second, 1, ReferralState.SENT)), Disclosed)
    assert decrypted(disclosed)["name"] == "例小明"

    emitted = await registry.act(an_action(Verb.SPLIT, child=second, other=child))

    [tombstone] = only(emitted, Disclosed)
    assert (tombstone.referral, tombstone.unit, tombstone.tombstone) == (disclosed.referral, GAJ, True)
    assert [disclosure.tombstone for disclosure in only(await registry.complete_the_day(), Disclosed)] == [True]


async def test_identity_fields_of_two_reports_about_one_child_are_disclosed(registry: Registry) -> None:
    """The child is not on file; a person decides that both teachers mean the same one."""
    [first] = only(
        await registry.report(finding_reported("first", identity={IdentityField.NAME: "例小明"})), FindingAssigned
    )
    identity = {IdentityField.GUARDIAN_PHONE: PHONE}
    [second] = only(await registry.report(finding_reported("second", identity=identity)), FindingAssigned)
    await registry.refer(referral_changed(first.child, 1, ReferralState.SENT))

    emitted = await registry.act(an_action(Verb.MERGE, child=second.child, other=first.child))

    [disclosed] = only(emitted, Disclosed)
    assert decrypted(disclosed) == {"name": "例小明", "guardian_phone": PHONE}


async def test_identity_fields_of_a_report_about_a_child_on_file_are_disclosed(registry: Registry) -> None:
    [assigned] = only(await registry.report(finding_reported(identity={IdentityField.NAME: "例小明"})), FindingAssigned)
    await registry.refer(referral_changed(assigned.child, 1, ReferralState.SENT))

    identity = {IdentityField.ADDRESS: "例村1号", IdentityField.REPORTER: "例老师"}
    [disclosed] = only(
        await registry.report(finding_reported("again", child=assigned.child, identity=identity)), Disclosed
    )

    assert decrypted(disclosed) == {"name": "例小明", "address": "例村1号"}


async def test_a_change_is_not_disclosed_for_a_closed_referral(registry: Registry) -> None:
    child = await a_child(registry)
    await registry.refer(
        referral_changed(child, 1, ReferralState.SENT), referral_changed(child, 2, ReferralState.CLOSED)
    )
    assert only(await registry.rows(a_row(guardian_phone="19900000002")), Disclosed) == []


async def test_a_tombstone_is_emitted_once_more_at_the_end_of_the_day(registry: Registry) -> None:
    """A record on another partition may have resealed the copy while the referral was closed."""
    child = await a_child(registry)
    closed_referrals = [
        referral_changed(child, v, s, referral=an_id("r", n))
        for n in range(5)
        for v, s in ((1, ReferralState.SENT), (2, ReferralState.CLOSED))
    ]
    await registry.refer(*closed_referrals)

    emitted = await registry.complete_the_day(limit=2)

    assert sorted(disclosure.referral for disclosure in only(emitted, Disclosed)) == sorted(
        an_id("r", n) for n in range(5)
    )
    assert all(disclosure.tombstone for disclosure in only(emitted, Disclosed))
    assert await registry.complete_the_day() == []


async def test_a_restricted_disclosure_is_sealed_to_the_second_key_on_its_own_topic(registry: Registry) -> None:
    """The first disclosure, its successors and its tombstones are all on the restricted topic."""
    registry.county = with_keys(registry.county, {GAJ: public(SECOND)}, name="restricted_public_key")
    child = await a_child(registry)

    emitted = await registry.refer(referral_changed(child, 1, ReferralState.SENT, restricted=True))
    [disclosed] = only(emitted, Disclosed)
    assert decrypted(disclosed, SECOND)["name"] == "例小明"
    with pytest.raises(JoseError):
        decrypted(disclosed, EC)
    emitted += await registry.rows(
        replace(a_row(), identity={**a_row().identity, IdentityField.GUARDIAN_PHONE: "19900000009"})
    )
    emitted += await registry.refer(
        referral_changed(child, 2, ReferralState.CLOSED, transition=Transition.CLOSED, restricted=True)
    )
    emitted += await registry.complete_the_day()

    assert [(disclosure.topic_name, disclosure.tombstone) for disclosure in only(emitted, Disclosed)] == [
        ("disclosure.341722-gaj.restricted.v1", tombstone) for tombstone in (False, False, True, True)
    ]


async def test_a_restricted_disclosure_is_never_sealed_to_the_first_key(registry: Registry) -> None:
    """An agency without a second key learns the child's identity by telephone."""
    assert await registry.refer(referral_changed(await a_child(registry), 1, ReferralState.SENT, restricted=True)) == []


async def test_the_reporter_is_disclosed_only_if_the_route_names_the_field(registry: Registry) -> None:
    identity = {IdentityField.NAME: "例小明", IdentityField.REPORTER: "例老师", IdentityField.NARRATIVE: "例：受伤"}
    [assigned] = only(await registry.report(finding_reported(identity=identity)), FindingAssigned)
    everything = tuple(
        field for field in IdentityField if field not in (IdentityField.REPORTER, IdentityField.NARRATIVE)
    )

    [usual] = only(
        await registry.refer(
            referral_changed(assigned.child, 1, ReferralState.SENT, finding=an_id("finding"), whitelist=everything)
        ),
        Disclosed,
    )
    [named] = only(
        await registry.refer(
            referral_changed(
                assigned.child,
                1,
                ReferralState.SENT,
                referral=an_id("other"),
                finding=an_id("finding"),
                whitelist=(IdentityField.NARRATIVE,),
            )
        ),
        Disclosed,
    )

    assert decrypted(usual) == {"name": "例小明"}
    assert decrypted(named) == {"narrative": "例：受伤"}


async def test_a_route_that_names_the_report_discloses_no_other_report_about_the_child(registry: Registry) -> None:
    """Two teachers report one child: a referral of the first finding discloses nothing of the second report."""
    first = {IdentityField.NAME: "例小明", IdentityField.NARRATIVE: "例：受伤"}
    [assigned] = only(await registry.report(finding_reported("first", identity=first)), FindingAssigned)
    second = {IdentityField.REPORTER: "例老师", IdentityField.NARRATIVE: "例：多日无人照看"}
    await registry.report(finding_reported("second", child=assigned.child, identity=second))
    report = (IdentityField.REPORTER, IdentityField.NARRATIVE)

    emitted = await registry.refer(
        referral_changed(assigned.child, 1, ReferralState.SENT, finding=an_id("first"), whitelist=report)
    )

    [disclosed] = only(emitted, Disclosed)
    assert decrypted(disclosed) == {"narrative": "例：受伤"}


async def test_a_candidates_referral_follows_the_child_to_its_file(registry: Registry) -> None:
    """The teacher knew a name only; the file that absorbs the candidate has the telephone number."""
    row = a_row()
    await registry.rows(row)
    [assigned] = only(await registry.report(finding_reported(identity={IdentityField.NAME: "例小明"})), FindingAssigned)
    await registry.refer(referral_changed(assigned.child, 1, ReferralState.SENT, finding=an_id("finding")))

    found = replace(clinic(row), key="found", dataset="finding", period=None, facts={})
    emitted = await registry.consume(record_read(found, finding=an_id("finding")))

    [disclosed] = only(emitted, Disclosed)
    assert decrypted(disclosed) == {"name": "例小明", "guardian_phone": PHONE}


async def test_every_disclosure_is_logged(registry: Registry) -> None:
    """A row has fields, child, unit, route and referral, and it cannot be changed or deleted."""
    child = await a_child(registry)
    await registry.refer(
        referral_changed(child, 1, ReferralState.SENT), referral_changed(child, 2, ReferralState.CLOSED)
    )

    [row] = await registry.tx.fetch("SELECT * FROM disclosure_log")
    assert (row["child_id"], row["unit"], row["route"], row["referral_id"]) == (child, GAJ, "R13", an_id("referral"))
    assert row["fields"] == ["guardian_phone", "name"]
    for statement in ("DELETE FROM disclosure_log", "UPDATE disclosure_log SET unit = ''", "TRUNCATE disclosure_log"):
        with pytest.raises(Exception, match="can only be added"):
            await registry.tx.execute(statement)


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_batches_of_any_size_disclose_the_same(registry: Registry, size: int) -> None:
    child = await a_child(registry)
    steps = [
        (ReferralState.SENT, Transition.SENT, GAJ),
        (ReferralState.RETURNED, Transition.RETURNED, GAJ),
        (ReferralState.SENT, Transition.REROUTED, WJW),
        (ReferralState.ACCEPTED, Transition.ACCEPTED, WJW),
        (ReferralState.CLOSED, Transition.CLOSED, WJW),
        (ReferralState.SENT, Transition.REOPENED, WJW),
    ]
    events = [referral_changed(child, n, state, move=move, to=to) for n, (state, move, to) in enumerate(steps, 1)]
    emitted = await registry.refer(*events, size=size)
    assert [(disclosure.unit, disclosure.tombstone) for disclosure in only(emitted, Disclosed)] == [
        (GAJ, False),
        (GAJ, True),
        (WJW, False),
        (WJW, True),
        (WJW, False),
    ]
    assert await registry.count("disclosure_log") == 3


async def test_a_destroyed_key_discloses_nothing(registry: Registry) -> None:
    child = await a_child(registry)
    await store.destroy_keys(registry.tx, child)
    assert await registry.refer(referral_changed(child, 1, ReferralState.SENT)) == []
    assert MOTHER not in repr(await registry.tx.fetch("SELECT * FROM record"))
    [refused] = await registry.act(an_action(Verb.VERIFY, child=child))
    assert isinstance(refused, RegistryActionRefused)
    assert refused.code == "unknown_child"


async def test_disclosures_of_a_destroyed_child_are_withdrawn_at_the_end_of_the_day(registry: Registry) -> None:
    child = await a_child(registry)
    await registry.refer(referral_changed(child, 1, ReferralState.SENT))

    await store.destroy_keys(registry.tx, child)

    [tombstone] = only(await registry.complete_the_day(), Disclosed)
    assert (tombstone.unit, tombstone.tombstone) == (GAJ, True)
    assert await registry.complete_the_day() == []
    assert await registry.refer(referral_changed(child, 2, ReferralState.CLOSED, transition=Transition.CLOSED)) == []


def _text(encoded: Any) -> str:
    import base64

    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
