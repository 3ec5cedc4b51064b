"""Ids that follow from content alone: the same log gives the same ids in any database."""

from uuid import UUID, uuid5

NAMESPACE = UUID("6f7c1a52-93c5-5f0e-9a5c-2f1d6b1f9b41")
"""The UUID namespace of everything that referral creates."""


def content_id(*parts: object) -> UUID:
    """Return the id of the thing that these parts identify, as a version 5 UUID."""
    return uuid5(NAMESPACE, "/".join(str(part) for part in parts))
