"""A session whose server dies, or falls silent, while a statement is in flight.

A frozen process sees its own time-outs first when it resumes, and only then what its server sent meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from runtime import Batch, OutboundEvent, Service, Tx
from runtime.storage import database
from runtime.storage.database import POOL_SIZE, open_pool
from tests.runtime.consume.harness import PARTITION, put
from tests.runtime.harness import ModelSystem, eventually, replace_handlers


class Proxy:
    """Stands between a service and its database, and can hold the answers back."""

    def __init__(self, dsn: str) -> None:
        self._upstream = urlsplit(dsn)
        self.answers = asyncio.Event()
        """Clear: whatever the server sends waits here."""
        self.answers.set()
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        answers, requests = await self._connect()
        await asyncio.gather(self._requests(reader, requests), self._answers(answers, writer))

    def dsn(self, port: int) -> str:
        who, _, _ = self._upstream.netloc.rpartition("@")
        return f"postgresql://{who}@127.0.0.1:{port}{self._upstream.path}?sslmode=disable"

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        socket = parse_qs(self._upstream.query)
        if "host" in socket:
            return await asyncio.open_unix_connection(f"{socket['host'][0]}/.s.PGSQL.{socket['port'][0]}")
        return await asyncio.open_connection(self._upstream.hostname, self._upstream.port)

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            writer.write(data)
        writer.close()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            await self.answers.wait()
            writer.write(data)
        await self.answers.wait()
        writer.close()


@pytest.fixture
def proxy(system: ModelSystem) -> Proxy:
    return Proxy(system.stack.postgres)


@pytest.fixture
async def dsn(proxy: Proxy) -> AsyncIterator[str]:
    """Of the database, through the proxy."""
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    yield proxy.dsn(server.sockets[0].getsockname()[1])
    proxy.answers.set()
    server.close()


async def terminate(system: ModelSystem, pid: int) -> None:
    """End a session's server, and wait until it has ended."""
    await system.database.fetchval("select pg_terminate_backend($1, 20000)", pid)


@pytest.mark.parametrize("cut", [True, False])
async def test_a_worker_whose_session_does_not_answer_ends(
    system: ModelSystem,
    proxy: Proxy,
    dsn: str,
    service_with: Callable[..., Awaitable[Service]],
    monkeypatch: pytest.MonkeyPatch,
    cut: bool,
) -> None:
    monkeypatch.setattr(database, "COMMAND_TIMEOUT", 1.0)
    consumer = (await service_with(postgres=dsn)).consumers["main"]
    in_flight = asyncio.Event()

    async def on_put(batch: Batch[Any], tx: Tx) -> list[OutboundEvent]:
        pid = await tx.fetchval("select pg_backend_pid()")
        proxy.answers.clear()
        if cut:
            await terminate(system, pid)
        in_flight.set()
        await tx.execute("select pg_sleep(60)")
        return []

    replace_handlers(consumer, {PARTITION[0]: on_put})
    consumer.dispatch([put(system, 0, "a")])
    await asyncio.wait_for(in_flight.wait(), 20)
    before = proxy.connections

    async def given_up() -> bool:
        return proxy.connections > before  # by which asyncpg asks the server to cancel the statement

    await eventually(given_up, what="the statement times out")
    if cut:
        proxy.answers.set()
    consumer.interrupt.set()
    await asyncio.wait_for(consumer.drain(), 20)


async def test_a_session_that_is_cut_between_two_statements_leaves_its_place_in_the_pool(
    system: ModelSystem, proxy: Proxy, dsn: str
) -> None:
    """An answer and the session's end come at once, as to a process that was frozen during the statement."""
    pool = await open_pool("public", system.settings_of("alpha", HUTONG_POSTGRES=dsn))
    statement = "select 'answered'"

    async def answered(pid: int) -> bool:
        seen = "select state = 'idle in transaction' and query = $2 from pg_stat_activity where pid = $1"
        return bool(await system.database.fetchval(seen, pid, statement))

    async def use_a_session() -> None:
        async with pool.acquire(timeout=20) as session, session.transaction():
            pid = await session.fetchval("select pg_backend_pid()")
            proxy.answers.clear()
            answer = asyncio.create_task(session.execute(statement))
            await eventually(lambda: answered(pid), what="the server has answered")
            await terminate(system, pid)
            proxy.answers.set()
            await answer
            await session.fetchval("select 1")

    for _ in range(POOL_SIZE):
        with pytest.raises(asyncpg.InterfaceError):
            await use_a_session()
    assert await asyncio.wait_for(pool.fetchval("select 1"), 20) == 1
    await pool.close()
