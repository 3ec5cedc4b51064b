"""Brings a service's schema up to date: the runtime's tables, then the service's own.

pogo reads and orders the files. The book of what was applied is kept in the service's own schema, not in
``public`` where pogo would keep it: each service has a role of its own that may touch nothing else.
A file without pogo's headings is plain SQL and depends on the file before it.
"""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import asyncpg
from pogo_core.migration import Migration, topological_sort
from pogo_core.util.migrate import transaction

from runtime.settings import Settings

RUNTIME = Path(__file__).with_name("schema")
_LOCK_SPACE = 0x48_75_74
_APPLY = "-- migrate: apply"


async def migrate(
    schema: str, settings: Settings, folder: Path | None, applied: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Apply missing migrations, and return their names. Concurrent calls wait for each other.

    ``applied`` is called with each name as soon as it is committed.
    """
    session = await asyncpg.connect(settings.postgres, server_settings={"lock_timeout": "0"})
    try:
        await session.execute("select pg_advisory_lock($1, hashtext($2))", _LOCK_SPACE, schema)
        exists = await session.fetchval("select to_regnamespace($1) is not null", f'"{schema}"')
        if not exists:
            await session.execute(f'create schema "{schema}"')
        await session.execute(f'set search_path to "{schema}"')
        await session.execute(
            "create table if not exists migration (id text primary key, applied_at timestamptz not null default now())"
        )
        done = await _apply(session, "runtime", RUNTIME, applied)
        if folder is not None:
            done += await _apply(session, schema, folder, applied)
        return done
    finally:
        await session.close()


async def is_migrated(session: Any, schema: str, folder: Path | None) -> bool:
    """Return whether the session's schema has every migration."""
    if not await session.fetchval("select to_regclass('migration') is not null"):
        return False
    applied = {row["id"] for row in await session.fetch("select id from migration")}
    wanted = {_id("runtime", path) for path in _files(RUNTIME)}
    if folder is not None:
        wanted |= {_id(schema, path) for path in _files(folder)}
    return wanted <= applied


async def _apply(session: Any, owner: str, folder: Path, on_applied: Callable[[str], None]) -> list[str]:
    applied = {row["id"] for row in await session.fetch("select id from migration")}
    done: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for step in _ordered(owner, folder, Path(scratch), applied):
            if step.applied:
                continue
            async with transaction(session, step):
                await step.apply(session)
                await session.execute("insert into migration (id) values ($1)", step.id)
            done.append(step.id)
            on_applied(step.id)
    return done


def _ordered(owner: str, folder: Path, scratch: Path, applied: set[str]) -> list[Migration]:
    names = {path.stem: _id(owner, path) for path in _files(folder)}
    steps: list[Migration] = []
    before = ""
    for path in _files(folder):
        text = path.read_text()
        if _APPLY not in text:
            text = f"-- {path.stem}\n-- depends: {before}\n\n{_APPLY}\n{text}\n-- migrate: rollback\n"
        else:
            text = _with_full_names(text, names)
        copy = scratch / f"{names[path.stem]}.sql"
        copy.write_text(text)
        steps.append(Migration(names[path.stem], copy, applied))
        before = names[path.stem]
    return topological_sort([step.load() for step in steps])


def _with_full_names(text: str, names: dict[str, str]) -> str:
    head, apply, body = text.partition(_APPLY)
    lines = []
    for line in head.splitlines():
        if line.startswith("-- depends:"):
            wanted = line.removeprefix("-- depends:").split()
            lines.append("-- depends: " + " ".join(names.get(name, name) for name in wanted))
        else:
            lines.append(line)
    return "\n".join(lines) + "\n" + apply + body


def _files(folder: Path) -> Iterable[Path]:
    return sorted(folder.glob("*.sql"))


def _id(owner: str, path: Path) -> str:
    return f"{owner}.{path.stem}"
