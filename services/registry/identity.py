"""Puts a child's identity together from all records and findings; only for disclosure and controlled access."""

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime
from uuid import UUID

from contracts.vocabulary import IdentityField
from runtime import Tx
from services.registry import store
from services.registry.store import EncryptedIdentity
from services.registry.vault import ChildKey, Identity, Vault, decrypt

REPORT_FIELDS = frozenset({IdentityField.REPORTER, IdentityField.NARRATIVE})
"""Fields of one finding, not of the child: who reported it, and in which words."""

_EARLIEST = datetime.min.replace(tzinfo=UTC)


async def identity_of(tx: Tx, vault: Vault, children: Collection[UUID]) -> dict[UUID, Identity]:
    """Return for each id the identity in the child's current file, merges followed.

    Each field has the newest value of a department; a value from a finding counts only where no department has one.
    The report fields are never included. The identity is empty for an unknown id, and after crypto-shredding.
    """
    current = await store.current_files(tx, children)
    tops = {file.child for file in current.values()}
    tree = await store.merge_trees(tx, tops)
    stored_identities = await store.record_identities_of(tx, tops)
    stored_identities += await store.finding_identities_of(tx, tree)
    wrapped = await store.child_keys(tx, tree)
    keys = {child: vault.key(child, key) for child, key in wrapped.items()}
    by_top: dict[UUID, list[EncryptedIdentity]] = {top: [] for top in tops}
    for stored in stored_identities:
        by_top[tree[stored.child]].append(stored)
    whole = {top: _merged(identities, keys) for top, identities in by_top.items()}
    return {child: dict(whole[current[child].child]) if child in current else {} for child in children}


async def report_of(tx: Tx, vault: Vault, findings: Collection[UUID]) -> dict[UUID, Identity]:
    """Return the report fields of these findings; only for a route whose whitelist names them."""
    stored = await store.finding_identities(tx, findings)
    wrapped = await store.child_keys(tx, {stored_identity.child for stored_identity in stored.values()})
    reports: dict[UUID, Identity] = {}
    for finding, stored_identity in stored.items():
        if stored_identity.child in wrapped:
            identity = decrypt(
                vault.key(stored_identity.child, wrapped[stored_identity.child]), finding, stored_identity.identity
            )
            reports[finding] = {name: text for name, text in identity.items() if name in REPORT_FIELDS}
    return reports


def _merged(stored_identities: Iterable[EncryptedIdentity], keys: dict[UUID, ChildKey]) -> Identity:
    whole: Identity = {}
    for stored in sorted(stored_identities, key=_precedence):
        if stored.child in keys:
            identity = decrypt(keys[stored.child], stored.belongs_to, stored.identity)
            whole |= {name: text for name, text in identity.items() if name not in REPORT_FIELDS}
    return whole


def _precedence(identity: EncryptedIdentity) -> tuple[bool, date, datetime, bytes]:
    return (
        identity.department,
        identity.valid_on or date.min,
        identity.recorded_at or _EARLIEST,
        identity.belongs_to.bytes,
    )
