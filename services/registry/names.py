"""Who a child is, put together from all that was said. Only for what discloses or lists under access control."""

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime
from uuid import UUID

from contracts.vocabulary import IdentityField
from runtime import Tx
from services.registry import store
from services.registry.store import EncryptedIdentity
from services.registry.vault import ChildKey, Identity, Vault, decrypt

OF_THE_REPORT = frozenset({IdentityField.REPORTER, IdentityField.NARRATIVE})
"""Belong to one finding, not to the child: who reported it, and in which words."""

_EARLIEST = datetime.min.replace(tzinfo=UTC)


async def identity_of(tx: Tx, vault: Vault, children: Collection[UUID]) -> dict[UUID, Identity]:
    """For each of these ids the identity of the child's file as it stands, merges followed.

    Of each field the newest that a department said; what only came with a finding where no department says anything.
    Never who reported a finding, nor in which words. Who is not on file has none, nor has whoever's key was destroyed.
    """
    standing = await store.standing(tx, children)
    tops = {one.child for one in standing.values()}
    tree = await store.absorbed(tx, tops)
    said = await store.identities_of(tx, tops)
    said += await store.finding_identities_of(tx, tree)
    wrapped = await store.keys(tx, tree)
    keys = {child: vault.key(child, key) for child, key in wrapped.items()}
    by_top: dict[UUID, list[EncryptedIdentity]] = {top: [] for top in tops}
    for one in said:
        by_top[tree[one.child]].append(one)
    whole = {top: _laid(found, keys) for top, found in by_top.items()}
    return {child: dict(whole[standing[child].child]) if child in standing else {} for child in children}


async def report_of(tx: Tx, vault: Vault, findings: Collection[UUID]) -> dict[UUID, Identity]:
    """Who reported these findings, and in which words. For nobody but a route whose whitelist names them."""
    stored = await store.finding_identities(tx, findings)
    wrapped = await store.keys(tx, {one.child for one in stored.values()})
    reports: dict[UUID, Identity] = {}
    for finding, one in stored.items():
        if one.child in wrapped:
            identity = decrypt(vault.key(one.child, wrapped[one.child]), finding, one.identity)
            reports[finding] = {name: text for name, text in identity.items() if name in OF_THE_REPORT}
    return reports


def _laid(said: Iterable[EncryptedIdentity], keys: dict[UUID, ChildKey]) -> Identity:
    whole: Identity = {}
    for one in sorted(said, key=_credit):
        if one.child in keys:
            identity = decrypt(keys[one.child], one.belongs_to, one.identity)
            whole |= {name: text for name, text in identity.items() if name not in OF_THE_REPORT}
    return whole


def _credit(one: EncryptedIdentity) -> tuple[bool, date, datetime, bytes]:
    return one.department, one.valid_on or date.min, one.recorded_at or _EARLIEST, one.belongs_to.bytes
