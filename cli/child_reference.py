"""Reads which child is named on a command line, and shows children by their short numbers.

A child is typed by the short number, or by the id that events carry.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import typer

from contracts.child_number import InvalidChildNumber, child_id, format_child_number, parse_child_number

_REFUSALS: Mapping[str, str] = {
    "length": "编号要照抄，例如 4821-0937-5516-P，或者 6f0c1b1e-7d0f-4f3a-9a7c-3f2f3d1f7a10",
    "letter_missing": "编号少了最后一位校验字母，请照抄，例如 4821-0937-5516-P",
    "check": "编号的数字和校验字母对不上，请逐位核对",
}


@dataclass(frozen=True, slots=True)
class ChildReference:
    """The child that was typed, by ``id`` or by the twelve digits of the short number."""

    id: UUID | None = None
    number: str = ""

    def resolve(self, county: str) -> UUID:
        """Return the child's id in a county (six digits)."""
        return child_id(county, self.number) if self.id is None else self.id


def child_reference(text: str) -> ChildReference:
    """Read a child's short number or id.

    Raises:
        typer.BadParameter: the text is neither; the message never repeats the text.
    """
    if (child := _uuid(text.strip())) is not None:
        return ChildReference(id=child)
    try:
        return ChildReference(number=parse_child_number(text))
    except InvalidChildNumber as error:
        raise typer.BadParameter(_REFUSALS[error.code]) from None


async def child_numbers(
    fetch: Callable[..., Awaitable[Sequence[Mapping[str, Any]]]], children: Iterable[object]
) -> dict[str, str]:
    """Return the short number of each child as people read it (``4821-0937-5516-P``), by the text of its id.

    Args:
        fetch: runs a query as a role that may read the registry's table of files.
        children: ids, or their texts. An id without a file is not in the answer.
    """
    ids = [child for child in map(_uuid, map(str, children)) if child is not None]
    files = await fetch("SELECT child_id, number FROM registry.child WHERE child_id = ANY($1::uuid[])", ids)
    return {str(file["child_id"]): format_child_number(file["number"]) for file in files}


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
