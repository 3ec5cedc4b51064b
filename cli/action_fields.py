"""Reads the fields of an action from what was typed."""

import sys
from datetime import UTC, datetime

from cli.session import CommandError
from contracts.vocabulary import COUNTY_TIME, FactName, IdentityField


def _pairs(texts: list[str], what: str) -> dict[str, str]:
    pairs = {}
    for pair in texts:
        name, equals, value = pair.partition("=")
        if not equals:
            raise CommandError(f"{what}要写成 名称=值，“{name}”不是。", "例如 name=例小明。", 2)
        pairs[name] = value
    return pairs


def utc_time(local: datetime | None) -> str | None:
    """Read a time that was typed as the county's, whatever the machine's time zone is, and return it in UTC."""
    return None if local is None else local.replace(tzinfo=COUNTY_TIME).astimezone(UTC).isoformat()


def iso_day(typed: datetime | None) -> str | None:
    """Return the day that was typed, as ``YYYY-MM-DD``."""
    return None if typed is None else typed.date().isoformat()


def stated_facts(texts: list[str] | None) -> dict[str, bool | int | str] | None:
    """Read facts that were typed as ``name=value``.

    Raises:
        CommandError: a fact is not written so, or no fact has this name.
    """
    pairs = _pairs(texts or [], "事实")
    unknown = [name for name in pairs if name not in set(FactName)]
    if unknown:
        raise CommandError(f"没有“{unknown[0]}”这一项事实。", "名称见 contracts/vocabulary.py 的 FactName。", 2)
    return {name: _value(value) for name, value in pairs.items()} or None


def identity_fields(texts: list[str]) -> dict[str, str] | None:
    """Read identity fields; ``-`` reads them from standard input, because a shell keeps its command lines.

    Raises:
        CommandError: a field is not written as ``name=value``, or no field has this name.
    """
    lines = [line for pair in texts for line in (sys.stdin.read().splitlines() if pair == "-" else [pair]) if line]
    fields = _pairs(lines, "身份信息")
    unknown = [name for name in fields if name not in set(IdentityField)]
    if unknown:
        raise CommandError(f"没有“{unknown[0]}”这一项身份信息。", f"可以用：{'、'.join(IdentityField)}。", 2)
    return fields or None


def _value(text: str) -> bool | int | str:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.isdigit() and len(text) < 5 else text
