"""Seals for each agency what it must know of a child to act, and takes it back when the matter is closed."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key

from contracts.county import County
from contracts.event import Event
from contracts.referral import ReferralChanged
from contracts.registry import Disclosed
from contracts.vocabulary import IdentityField
from runtime import Batch, InboundEvent, OutboundEvent, Tx, partition_of
from services.registry import store
from services.registry.domain.disclosure import Holding, after
from services.registry.names import OF_THE_REPORT, identity_of, report_of
from services.registry.store import Disclosure
from services.registry.vault import Identity, Vault, written

_WRAPPING = {"EC": "ECDH-ES+A256KW", "OKP": "ECDH-ES+A256KW", "RSA": "RSA-OAEP-256"}
_CONTENT = "A256GCM"
PublicKey = RSAKey | ECKey | OKPKey
_REGISTRY = jwe.JWERegistry(algorithms=[*_WRAPPING.values(), _CONTENT], strict_check_header=False)


async def on_referrals(batch: Batch[Event], tx: Tx, *, vault: Vault) -> list[OutboundEvent]:
    """A referral moved: who has it may know the child; who had it may not any more."""
    moves = [(heard, heard.event) for heard in batch.events if isinstance(heard.event, ReferralChanged)]
    if not moves:
        return []
    # Whoever is changing these children is done first, or sees what is disclosed here and makes it anew.
    await store.hold_still(tx, {event.child for _, event in moves})
    known = await store.lock_disclosures(tx, {event.referral for _, event in moves})
    identities = await identity_of(tx, vault, {event.child for _, event in moves})
    wanted = {event.finding for _, event in moves if event.finding and OF_THE_REPORT & set(event.whitelist)}
    reports = await report_of(tx, vault, wanted)
    said: list[OutboundEvent] = []
    log: list[tuple[UUID, Disclosure, tuple[str, ...], Any]] = []
    for heard, event in moves:
        before = known.get(event.referral)
        holding = None if before is None else Holding(before.child, before.version, before.unit)
        step = after(holding, event.child, event.version, event.state, event.to_unit)
        if step is None:
            continue
        now = Disclosure(
            event.referral,
            event.child,
            event.finding,
            event.version,
            step.holding.unit,
            event.restricted,
            event.route,
            tuple(event.whitelist),
            None if before is None else before.digest,
            () if before is None else before.gone_from,
        )
        if step.takes_back is not None and now.digest is not None:
            now = _take_back(heard, now, step.takes_back, said)
        if step.gives:
            report = reports.get(event.finding, {}) if event.finding is not None else {}
            now = _give(batch.county, heard, now, identities.get(event.child, {}) | report, vault, said, log)
        known[event.referral] = now
    await store.save_disclosures(tx, [(one, partition_of(str(one.child), batch.partitions)) for one in known.values()])
    await store.log_disclosures(tx, log)
    return said


async def anew(
    batch: Batch[Event], tx: Tx, changed: Mapping[UUID, InboundEvent[Event]], *, vault: Vault
) -> list[OutboundEvent]:
    """Seal the newest for whoever may know these children, where what they may know has changed."""
    if not changed:
        return []
    known = await store.lock_open_disclosures(tx, changed.keys())
    if not known:
        return []
    identities = await identity_of(tx, vault, {one.child for one in known})
    wanted = {one.finding for one in known if one.finding and OF_THE_REPORT & set(one.whitelist)}
    reports = await report_of(tx, vault, wanted)
    said: list[OutboundEvent] = []
    log: list[tuple[UUID, Disclosure, tuple[str, ...], Any]] = []
    rows = []
    for one in known:
        report = reports.get(one.finding, {}) if one.finding is not None else {}
        now = _give(batch.county, changed[one.child], one, identities.get(one.child, {}) | report, vault, said, log)
        rows.append((now, partition_of(str(one.child), batch.partitions)))
    await store.save_disclosures(tx, rows)
    await store.log_disclosures(tx, log)
    return said


def gone(referral: UUID, unit: str, restricted: bool) -> Disclosed:
    """The tombstone: whoever keeps the topic as a table forgets this row."""
    return Disclosed(unit=unit, restricted=restricted, referral=referral, fields=(), jwe=None)


def said_as(said: OutboundEvent, disclosed: Disclosed) -> OutboundEvent:
    return replace(said, sensitivity="restricted") if disclosed.restricted else said


def _give(
    county: County,
    heard: InboundEvent[Event],
    to: Disclosure,
    identity: Identity,
    vault: Vault,
    said: list[OutboundEvent],
    log: list[tuple[UUID, Disclosure, tuple[str, ...], Any]],
) -> Disclosure:
    """Disclose to whoever has the referral, unless that is what it already has, or it has no key.

    What nobody says of the child any more is taken back.
    """
    assert to.unit is not None
    unit = county.unit(to.unit)
    jwk = unit.key_for(restricted=to.restricted) if unit is not None else None
    key = public_key(jwk) if jwk is not None else None
    fields = {name: identity[name] for name in sorted(identity) if name in to.whitelist}
    if not fields:
        return to if to.digest is None else _take_back(heard, to, to.unit, said)
    if key is None or jwk is None:
        return to
    digest = vault.hash("disclosed", to.unit, jwk, written(fields).decode())
    if digest == to.digest:
        return to
    disclosed = Disclosed(
        unit=to.unit,
        restricted=to.restricted,
        referral=to.referral,
        fields=tuple(fields),
        jwe=sealed(key, to.unit, to.referral, fields),
    )
    said.append(said_as(heard.emit(disclosed), disclosed))
    now = replace(to, digest=digest, gone_from=tuple(one for one in to.gone_from if one != to.unit))
    log.append((heard.envelope.id, now, tuple(name.value for name in fields), heard.envelope.time))
    return now


def _take_back(heard: InboundEvent[Event], of: Disclosure, unit: str, said: list[OutboundEvent]) -> Disclosure:
    tombstone = gone(of.referral, unit, of.restricted)
    said.append(said_as(heard.emit(tombstone), tombstone))
    return replace(of, digest=None, gone_from=tuple(sorted({*of.gone_from, unit})))


def sealed(key: PublicKey, unit: str, referral: UUID, fields: Mapping[IdentityField, str]) -> str:
    """A compact JWE to a unit's public key, bound to the referral and the unit.

    Both stand in the protected header: for EC and OKP keys as ``apu`` and ``apv``, which also enter the agreed key
    (RFC 7518, 4.6.1) and which every JOSE library accepts; for RSA keys under their own names.
    """
    kind = key.key_type
    header: dict[str, Any] = {"alg": _WRAPPING[kind], "enc": _CONTENT, "typ": "JWE", "kid": key.kid or key.thumbprint()}
    if kind == "RSA":
        header |= {"referral": str(referral), "unit": unit}
    else:
        header |= {"apu": _b64(str(referral)), "apv": _b64(unit)}
    return jwe.encrypt_compact(header, written(fields), key, registry=_REGISTRY)


@lru_cache(maxsize=256)
def public_key(jwk: str) -> PublicKey | None:
    """A unit's key. None: nothing can be sealed to it, as ``hutong county check`` says of such a key."""
    try:
        key = import_key(orjson.loads(jwk))
    except (ValueError, JoseError):
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) else None


def _b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
