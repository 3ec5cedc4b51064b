"""Array literals for statements that insert many rows at once."""

from collections.abc import Iterable


def text_array(items: Iterable[str]) -> str:
    """Return a PostgreSQL array literal, because ``unnest`` would flatten an array of arrays."""
    return "{" + ",".join(f'"{item}"' for item in items) + "}"
