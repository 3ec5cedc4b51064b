"""An agency may know what its route names, for as long as it has the referral, and nothing else."""

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
from tests.registry.harness import TODAY, Registry, action, an_id, only, read, reported, with_keys
from tests.registry.people import MOTHER, PHONE, a_row, clinic

GAJ, WJW = "341722-gaj", "341722-wjw"
SENT = datetime(2026, 11, 23, 5, tzinfo=UTC)
EC = jwk.ECKey.generate_key("P-256", {"use": "enc", "alg": "ECDH-ES+A256KW"})
OKP = jwk.OKPKey.generate_key("X25519", {"use": "enc"})
SECOND = jwk.ECKey.generate_key("P-256", {"use": "enc", "alg": "ECDH-ES+A256KW"})
RSA = jwk.RSAKey.generate_key(2048, {"use": "enc"})
WHITELIST = (IdentityField.NAME, IdentityField.GUARDIAN_PHONE, IdentityField.ADDRESS)


def public(key: Any) -> str:
    return json.dumps(key.as_dict(private=False))


@pytest.fixture
async def registry(registry: Registry) -> Registry:
    """The police and the health commission have given their keys; nobody else has."""
    registry.county = with_keys(a_county(), {GAJ: public(EC), WJW: public(OKP)})
    return registry


def moved(
    child: UUID,
    version: int,
    state: ReferralState,
    *,
    move: Transition = Transition.SENT,
    to: str = GAJ,
    **changes: Any,
) -> ReferralChanged:
    fields: dict[str, Any] = {
        "child": child,
        "restricted": False,
        "on": TODAY,
        "referral": an_id("referral"),
        "version": version,
        "transition": move,
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
        "sent_at": SENT,
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


def opened(disclosed: Disclosed, key: Any = EC) -> dict[str, str]:
    """As the departments' guide shows it: the library's defaults and the agency's own key."""
    assert disclosed.jwe is not None
    found: dict[str, str] = json.loads(jwe.decrypt_compact(disclosed.jwe, key).plaintext or b"")
    return found


async def test_the_agency_reads_the_fields_of_its_route_and_no_others(registry: Registry) -> None:
    emitted = await registry.refer(moved(await a_child(registry), 1, ReferralState.SENT))

    [disclosed] = only(emitted, Disclosed)
    assert disclosed.topic_name == "disclosure.341722-gaj.v1"
    assert opened(disclosed) == {"name": "例小明", "guardian_phone": PHONE}
    assert disclosed.fields == (IdentityField.GUARDIAN_PHONE, IdentityField.NAME)


async def test_nobody_else_can_read_it(registry: Registry) -> None:
    [disclosed] = only(await registry.refer(moved(await a_child(registry), 1, ReferralState.SENT)), Disclosed)
    with pytest.raises(JoseError):
        opened(disclosed, jwk.ECKey.generate_key("P-256"))


@pytest.mark.parametrize(("unit", "key"), [(GAJ, EC), (WJW, OKP)])
async def test_the_header_says_whose_key_which_referral_and_which_unit(registry: Registry, unit: str, key: Any) -> None:
    [disclosed] = only(await registry.refer(moved(await a_child(registry), 1, ReferralState.SENT, to=unit)), Disclosed)
    assert disclosed.jwe is not None
    header = jwe.decrypt_compact(disclosed.jwe, key).headers()
    assert header["alg"] == "ECDH-ES+A256KW"
    assert header["enc"] == "A256GCM"
    assert header["kid"] == key.thumbprint()
    assert _text(header["apu"]) == str(disclosed.referral)
    assert _text(header["apv"]) == unit


async def test_an_agency_with_an_rsa_key_reads_it_too(registry: Registry) -> None:
    registry.county = with_keys(a_county(), {GAJ: public(RSA)})
    [disclosed] = only(await registry.refer(moved(await a_child(registry), 1, ReferralState.SENT)), Disclosed)
    assert disclosed.jwe is not None
    lenient = jwe.JWERegistry(algorithms=["RSA-OAEP-256", "A256GCM"], strict_check_header=False)
    found = jwe.decrypt_compact(disclosed.jwe, RSA, registry=lenient)
    assert found.headers()["referral"] == str(disclosed.referral)
    assert json.loads(found.plaintext or b"")["name"] == "例小明"


@pytest.mark.parametrize("key", [None, "not a key", '{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}'])
async def test_without_a_usable_key_nothing_is_disclosed(registry: Registry, key: str | None) -> None:
    registry.county = with_keys(a_county(), {} if key is None else {GAJ: key})
    assert await registry.refer(moved(await a_child(registry), 1, ReferralState.SENT)) == []
    assert key is None or public_key(key) is None


@pytest.mark.parametrize("state", [ReferralState.CLOSED, ReferralState.WITHDRAWN, ReferralState.RETURNED])
async def test_it_is_gone_when_the_matter_is(registry: Registry, state: ReferralState) -> None:
    child = await a_child(registry)
    await registry.refer(moved(child, 1, ReferralState.SENT), moved(child, 2, ReferralState.ACCEPTED))

    emitted = await registry.refer(moved(child, 3, state, move=Transition.CLOSED))

    [gone] = only(emitted, Disclosed)
    assert gone.tombstone
    assert (gone.unit, gone.referral) == (GAJ, an_id("referral"))
    assert await registry.rows(replace(a_row(), facts={})) != [gone]


async def test_another_unit_gets_it_and_the_one_that_had_it_loses_it(registry: Registry) -> None:
    child = await a_child(registry)
    await registry.refer(moved(child, 1, ReferralState.SENT))

    emitted = await registry.refer(
        moved(child, 2, ReferralState.SENT, move=Transition.REROUTED, to=WJW, previous_unit=GAJ)
    )

    gone, given = only(emitted, Disclosed)
    assert (gone.unit, gone.tombstone) == (GAJ, True)
    assert (given.unit, given.tombstone) == (WJW, False)
    assert opened(given, OKP)["name"] == "例小明"


async def test_reopened_it_is_disclosed_again(registry: Registry) -> None:
    child = await a_child(registry)
    await registry.refer(moved(child, 1, ReferralState.SENT), moved(child, 2, ReferralState.CLOSED))
    [given] = only(await registry.refer(moved(child, 3, ReferralState.SENT, move=Transition.REOPENED)), Disclosed)
    assert not given.tombstone
    assert await registry.complete_the_day() == []


async def test_transitions_that_change_no_holder_disclose_nothing(registry: Registry) -> None:
    child = await a_child(registry)
    await registry.refer(moved(child, 1, ReferralState.SENT))
    emitted = await registry.refer(
        moved(child, 2, ReferralState.ACCEPTED, move=Transition.ACCEPTED),
        moved(child, 3, ReferralState.IN_PROGRESS, move=Transition.STARTED),
        moved(child, 3, ReferralState.CLOSED, move=Transition.CLOSED),
    )
    assert emitted == []


async def test_a_draft_discloses_nothing(registry: Registry) -> None:
    assert await registry.refer(moved(await a_child(registry), 1, ReferralState.DRAFT)) == []


async def test_who_the_child_is_changes_and_the_agency_reads_the_newest(registry: Registry) -> None:
    child = await a_child(registry)
    await registry.refer(moved(child, 1, ReferralState.SENT))

    emitted = await registry.rows(a_row(guardian_phone="19900000002", valid_on=TODAY))

    [given] = only(emitted, Disclosed)
    assert opened(given)["guardian_phone"] == "19900000002"
    assert only(await registry.rows(a_row(guardian_phone="19900000002", valid_on=TODAY)), Disclosed) == []


async def test_what_the_route_does_not_name_changes_nothing(registry: Registry) -> None:
    child = await a_child(registry)
    await registry.refer(moved(child, 1, ReferralState.SENT))
    assert only(await registry.rows(a_row(school="例小学")), Disclosed) == []


async def test_a_disclosure_that_turns_out_to_be_of_another_child_is_withdrawn(registry: Registry) -> None:
    """All that was known of the child came with a row that a person takes out of its file."""
    row = a_row()
    other = a_row("other", name="例大山", id_number=None, guardian_id_number=None, guardian_name=None)
    await registry.rows(row, replace(other, identity={IdentityField.SCHOOL: "例小学"}))
    child, second = await registry.child_of(row), await registry.child_of(other)
    await registry.act(action(Verb.MERGE, child=second, other=child))
    [given] = only(await registry.refer(moved(second, 1, ReferralState.SENT)), Disclosed)
    assert opened(given)["name"] == "例小明"

    emitted = await registry.act(action(Verb.SPLIT, child=second, other=child))

    [gone] = only(emitted, Disclosed)
    assert (gone.referral, gone.unit, gone.tombstone) == (given.referral, GAJ, True)
    assert [one.tombstone for one in only(await registry.complete_the_day(), Disclosed)] == [True]


async def test_what_two_reports_know_of_one_child_reaches_the_agency(registry: Registry) -> None:
    """The child is not on file; a person decides that both teachers mean the same one."""
    [first] = only(await registry.report(reported("first", identity={IdentityField.NAME: "例小明"})), FindingAssigned)
    who = {IdentityField.GUARDIAN_PHONE: PHONE}
    [second] = only(await registry.report(reported("second", identity=who)), FindingAssigned)
    await registry.refer(moved(first.child, 1, ReferralState.SENT))

    emitted = await registry.act(action(Verb.MERGE, child=second.child, other=first.child))

    [given] = only(emitted, Disclosed)
    assert opened(given) == {"name": "例小明", "guardian_phone": PHONE}


async def test_what_a_person_reports_of_a_child_on_file_reaches_the_agency(registry: Registry) -> None:
    [passed] = only(await registry.report(reported(identity={IdentityField.NAME: "例小明"})), FindingAssigned)
    await registry.refer(moved(passed.child, 1, ReferralState.SENT))

    who = {IdentityField.ADDRESS: "例村1号", IdentityField.REPORTER: "例老师"}
    [given] = only(await registry.report(reported("again", child=passed.child, identity=who)), Disclosed)

    assert opened(given) == {"name": "例小明", "address": "例村1号"}


async def test_a_change_is_not_disclosed_for_a_closed_referral(registry: Registry) -> None:
    child = await a_child(registry)
    await registry.refer(moved(child, 1, ReferralState.SENT), moved(child, 2, ReferralState.CLOSED))
    assert only(await registry.rows(a_row(guardian_phone="19900000002")), Disclosed) == []


async def test_a_tombstone_is_emitted_once_more_at_the_end_of_the_day(registry: Registry) -> None:
    """A record on another partition may have resealed the copy while the referral was closed."""
    child = await a_child(registry)
    others = [
        moved(child, v, s, referral=an_id("r", n))
        for n in range(5)
        for v, s in ((1, ReferralState.SENT), (2, ReferralState.CLOSED))
    ]
    await registry.refer(*others)

    emitted = await registry.complete_the_day(limit=2)

    assert sorted(one.referral for one in only(emitted, Disclosed)) == sorted(an_id("r", n) for n in range(5))
    assert all(one.tombstone for one in only(emitted, Disclosed))
    assert await registry.complete_the_day() == []


async def test_what_is_restricted_is_sealed_to_the_second_key_on_a_topic_of_its_own(registry: Registry) -> None:
    """From its first disclosure to the tombstone that the day repeats."""
    registry.county = with_keys(registry.county, {GAJ: public(SECOND)}, name="restricted_public_key")
    child = await a_child(registry)

    emitted = await registry.refer(moved(child, 1, ReferralState.SENT, restricted=True))
    [disclosed] = only(emitted, Disclosed)
    assert opened(disclosed, SECOND)["name"] == "例小明"
    with pytest.raises(JoseError):
        opened(disclosed, EC)
    emitted += await registry.rows(
        replace(a_row(), identity={**a_row().identity, IdentityField.GUARDIAN_PHONE: "19900000009"})
    )
    emitted += await registry.refer(moved(child, 2, ReferralState.CLOSED, move=Transition.CLOSED, restricted=True))
    emitted += await registry.complete_the_day()

    assert [(one.topic_name, one.tombstone) for one in only(emitted, Disclosed)] == [
        ("disclosure.341722-gaj.restricted.v1", gone) for gone in (False, False, True, True)
    ]


async def test_a_restricted_disclosure_is_never_sealed_to_the_first_key(registry: Registry) -> None:
    """The agency has handed in no other: its people learn who the child is by telephone."""
    assert await registry.refer(moved(await a_child(registry), 1, ReferralState.SENT, restricted=True)) == []


async def test_who_reported_is_never_disclosed_unless_the_route_names_it(registry: Registry) -> None:
    who = {IdentityField.NAME: "例小明", IdentityField.REPORTER: "例老师", IdentityField.NARRATIVE: "例：受伤"}
    [passed] = only(await registry.report(reported(identity=who)), FindingAssigned)
    everything = tuple(
        field for field in IdentityField if field not in (IdentityField.REPORTER, IdentityField.NARRATIVE)
    )

    [usual] = only(
        await registry.refer(
            moved(passed.child, 1, ReferralState.SENT, finding=an_id("finding"), whitelist=everything)
        ),
        Disclosed,
    )
    [named] = only(
        await registry.refer(
            moved(
                passed.child,
                1,
                ReferralState.SENT,
                referral=an_id("other"),
                finding=an_id("finding"),
                whitelist=(IdentityField.NARRATIVE,),
            )
        ),
        Disclosed,
    )

    assert opened(usual) == {"name": "例小明"}
    assert opened(named) == {"narrative": "例：受伤"}


async def test_a_route_that_names_the_report_is_given_no_other_of_the_same_child(registry: Registry) -> None:
    """Two teachers report one child. Who gets the referral of the first finding reads nothing of the second report."""
    first = {IdentityField.NAME: "例小明", IdentityField.NARRATIVE: "例：受伤"}
    [passed] = only(await registry.report(reported("first", identity=first)), FindingAssigned)
    second = {IdentityField.REPORTER: "例老师", IdentityField.NARRATIVE: "例：多日无人照看"}
    await registry.report(reported("second", child=passed.child, identity=second))
    report = (IdentityField.REPORTER, IdentityField.NARRATIVE)

    emitted = await registry.refer(moved(passed.child, 1, ReferralState.SENT, finding=an_id("first"), whitelist=report))

    [given] = only(emitted, Disclosed)
    assert opened(given) == {"narrative": "例：受伤"}


async def test_a_candidates_referral_follows_the_child_to_its_file(registry: Registry) -> None:
    """The teacher knew a name only; the file that absorbs the candidate knows the telephone."""
    row = a_row()
    await registry.rows(row)
    [passed] = only(await registry.report(reported(identity={IdentityField.NAME: "例小明"})), FindingAssigned)
    await registry.refer(moved(passed.child, 1, ReferralState.SENT, finding=an_id("finding")))

    found = replace(clinic(row), key="found", dataset="finding", period=None, facts={})
    emitted = await registry.consume(read(found, finding=an_id("finding")))

    [given] = only(emitted, Disclosed)
    assert opened(given) == {"name": "例小明", "guardian_phone": PHONE}


async def test_every_disclosure_is_logged(registry: Registry) -> None:
    """What, of whom, to whom, on what ground, when; nobody can take a line away."""
    child = await a_child(registry)
    await registry.refer(moved(child, 1, ReferralState.SENT), moved(child, 2, ReferralState.CLOSED))

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
    events = [moved(child, n, state, move=move, to=to) for n, (state, move, to) in enumerate(steps, 1)]
    emitted = await registry.refer(*events, size=size)
    assert [(one.unit, one.tombstone) for one in only(emitted, Disclosed)] == [
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
    assert await registry.refer(moved(child, 1, ReferralState.SENT)) == []
    assert MOTHER not in repr(await registry.tx.fetch("SELECT * FROM record"))
    [refused] = await registry.act(action(Verb.VERIFY, child=child))
    assert isinstance(refused, RegistryActionRefused)
    assert refused.code == "unknown_child"


async def test_disclosures_of_a_destroyed_child_are_withdrawn_at_the_end_of_the_day(registry: Registry) -> None:
    child = await a_child(registry)
    await registry.refer(moved(child, 1, ReferralState.SENT))

    await store.destroy_keys(registry.tx, child)

    [gone] = only(await registry.complete_the_day(), Disclosed)
    assert (gone.unit, gone.tombstone) == (GAJ, True)
    assert await registry.complete_the_day() == []
    assert await registry.refer(moved(child, 2, ReferralState.CLOSED, move=Transition.CLOSED)) == []


def _text(encoded: Any) -> str:
    import base64

    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
