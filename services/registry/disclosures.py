"""Seals for each agency what it must know of a child to act, and withdraws it when the referral is closed."""

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
from services.registry.domain.disclosure import Holding, next_step
from services.registry.identity import REPORT_FIELDS, identity_of, report_of
from services.registry.store import Disclosure
from services.registry.vault import Identity, Vault, identity_json

_WRAPPING = {"EC": "ECDH-ES+A256KW", "OKP": "ECDH-ES+A256KW", "RSA": "RSA-OAEP-256"}
_CONTENT = "A256GCM"
PublicKey = RSAKey | ECKey | OKPKey
_REGISTRY = jwe.JWERegistry(algorithms=[*_WRAPPING.values(), _CONTENT], strict_check_header=False)


async def on_referrals(batch: Batch[Event], tx: Tx, *, vault: Vault) -> list[OutboundEvent]:
    """Apply transitions of referrals: disclose to the unit that has one now, withdraw from the unit that had it."""
    moves = [(inbound, inbound.event) for inbound in batch.events if isinstance(inbound.event, ReferralChanged)]
    if not moves:
        return []
    # A concurrent change of these children commits first, or sees these disclosures and seals them again.
    await store.lock_against_changes(tx, {event.child for _, event in moves})
    disclosures = await store.lock_disclosures(tx, {event.referral for _, event in moves})
    identities = await identity_of(tx, vault, {event.child for _, event in moves})
    wanted = {event.finding for _, event in moves if event.finding and REPORT_FIELDS & set(event.whitelist)}
    reports = await report_of(tx, vault, wanted)
    emitted: list[OutboundEvent] = []
    log: list[tuple[UUID, Disclosure, tuple[str, ...], Any]] = []
    for inbound, event in moves:
        before = disclosures.get(event.referral)
        holding = None if before is None else Holding(before.child, before.version, before.unit)
        step = next_step(holding, event.child, event.version, event.state, event.to_unit)
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
            () if before is None else before.withdrawn_from,
        )
        if step.withdraws_from is not None and now.digest is not None:
            now = _withdraw(inbound, now, step.withdraws_from, emitted)
        if step.discloses:
            report = reports.get(event.finding, {}) if event.finding is not None else {}
            now = _disclose(batch.county, inbound, now, identities.get(event.child, {}) | report, vault, emitted, log)
        disclosures[event.referral] = now
    await store.save_disclosures(
        tx, [(disclosure, partition_of(str(disclosure.child), batch.partitions)) for disclosure in disclosures.values()]
    )
    await store.log_disclosures(tx, log)
    return emitted


async def reseal(
    batch: Batch[Event], tx: Tx, changed: Mapping[UUID, InboundEvent[Event]], *, vault: Vault
) -> list[OutboundEvent]:
    """Seal the newest identity again for units with open disclosures, where the disclosed fields changed."""
    if not changed:
        return []
    disclosures = await store.lock_open_disclosures(tx, changed.keys())
    if not disclosures:
        return []
    identities = await identity_of(tx, vault, {disclosure.child for disclosure in disclosures})
    wanted = {
        disclosure.finding
        for disclosure in disclosures
        if disclosure.finding and REPORT_FIELDS & set(disclosure.whitelist)
    }
    reports = await report_of(tx, vault, wanted)
    emitted: list[OutboundEvent] = []
    log: list[tuple[UUID, Disclosure, tuple[str, ...], Any]] = []
    rows = []
    for disclosure in disclosures:
        report = reports.get(disclosure.finding, {}) if disclosure.finding is not None else {}
        now = _disclose(
            batch.county,
            changed[disclosure.child],
            disclosure,
            identities.get(disclosure.child, {}) | report,
            vault,
            emitted,
            log,
        )
        rows.append((now, partition_of(str(disclosure.child), batch.partitions)))
    await store.save_disclosures(tx, rows)
    await store.log_disclosures(tx, log)
    return emitted


def tombstone(referral: UUID, unit: str, restricted: bool) -> Disclosed:
    """Return the tombstone that deletes a disclosure from a table of the topic."""
    return Disclosed(unit=unit, restricted=restricted, referral=referral, fields=(), jwe=None)


def with_sensitivity(emitted: OutboundEvent, disclosed: Disclosed) -> OutboundEvent:
    return replace(emitted, sensitivity="restricted") if disclosed.restricted else emitted


def _disclose(
    county: County,
    inbound: InboundEvent[Event],
    to: Disclosure,
    identity: Identity,
    vault: Vault,
    emitted: list[OutboundEvent],
    log: list[tuple[UUID, Disclosure, tuple[str, ...], Any]],
) -> Disclosure:
    """Disclose to the unit that has the referral, unless it already has the same content or has no key.

    If no disclosed field has a value any more, the disclosure is withdrawn.
    """
    assert to.unit is not None
    unit = county.unit(to.unit)
    jwk = unit.key_for(restricted=to.restricted) if unit is not None else None
    key = public_key(jwk) if jwk is not None else None
    fields = {name: identity[name] for name in sorted(identity) if name in to.whitelist}
    if not fields:
        return to if to.digest is None else _withdraw(inbound, to, to.unit, emitted)
    if key is None or jwk is None:
        return to
    digest = vault.hash("disclosed", to.unit, jwk, identity_json(fields).decode())
    if digest == to.digest:
        return to
    disclosed = Disclosed(
        unit=to.unit,
        restricted=to.restricted,
        referral=to.referral,
        fields=tuple(fields),
        jwe=seal(key, to.unit, to.referral, fields),
    )
    emitted.append(with_sensitivity(inbound.emit(disclosed), disclosed))
    now = replace(to, digest=digest, withdrawn_from=tuple(unit for unit in to.withdrawn_from if unit != to.unit))
    log.append((inbound.envelope.id, now, tuple(name.value for name in fields), inbound.envelope.time))
    return now


def _withdraw(inbound: InboundEvent[Event], of: Disclosure, unit: str, emitted: list[OutboundEvent]) -> Disclosure:
    withdrawn = tombstone(of.referral, unit, of.restricted)
    emitted.append(with_sensitivity(inbound.emit(withdrawn), withdrawn))
    return replace(of, digest=None, withdrawn_from=tuple(sorted({*of.withdrawn_from, unit})))


def seal(key: PublicKey, unit: str, referral: UUID, fields: Mapping[IdentityField, str]) -> str:
    """Return a compact JWE to a unit's public key, bound to the referral and the unit.

    Both are in the protected header: for EC and OKP keys as ``apu`` and ``apv``, which also enter the agreed key
    (RFC 7518, 4.6.1) and which every JOSE library accepts; for RSA keys under names of their own.
    """
    kind = key.key_type
    header: dict[str, Any] = {"alg": _WRAPPING[kind], "enc": _CONTENT, "typ": "JWE", "kid": key.kid or key.thumbprint()}
    if kind == "RSA":
        header |= {"referral": str(referral), "unit": unit}
    else:
        header |= {"apu": _b64(str(referral)), "apv": _b64(unit)}
    return jwe.encrypt_compact(header, identity_json(fields), key, registry=_REGISTRY)


@lru_cache(maxsize=256)
def public_key(jwk: str) -> PublicKey | None:
    """Parse a unit's public key. Returns None if nothing can be sealed to it; ``hutong county check`` reports that."""
    try:
        key = import_key(orjson.loads(jwk))
    except (ValueError, JoseError):
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) else None


def _b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
