"""Creates the roles, the database and the schemas of a county's services."""

from collections.abc import Mapping

import asyncpg

from contracts.topics import SERVICES
from deploy.provision.errors import ProvisioningError

OPERATOR_ROLE = "operator"
"""The database role of the ops team's tools; it reads every service's schema and writes none."""
_IDLE_IN_TRANSACTION = "5s"


async def provision_database(admin_dsn: str, database: str, passwords: Mapping[str, str]) -> None:
    """Create a database with one schema and one role for each service; no role can read another's schema.

    ``admin_dsn`` is a superuser's, on any existing database of the server. ``passwords`` holds those of every service
    and of ``OPERATOR_ROLE``. Running it again resets the passwords and changes nothing else.

    Raises:
        ProvisioningError: the server refused something.
    """
    try:
        server = await asyncpg.connect(admin_dsn)
        try:
            if not await server.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
                await server.execute(f"CREATE DATABASE {_quoted(database)} ENCODING 'UTF8' TEMPLATE template0")
            for role in (*SERVICES, OPERATOR_ROLE):
                await _create_role(server, role, passwords[role])
        finally:
            await server.close()
        inside = await asyncpg.connect(admin_dsn, database=database)
        try:
            async with inside.transaction():
                await _revoke_public(inside, database)
                for service in SERVICES:
                    await _create_schema(inside, database, service)
        finally:
            await inside.close()
    except (asyncpg.PostgresError, OSError) as error:
        raise ProvisioningError(f"the database refused: {error}") from error


async def _create_role(server: "asyncpg.Connection[asyncpg.Record]", role: str, password: str) -> None:
    verb = "ALTER" if await server.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role) else "CREATE"
    statement = await server.fetchval(
        "SELECT format('%s ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD %L', "
        "$1::text, $2::text, $3::text)",
        verb,
        role,
        password,
    )
    await server.execute(statement)


async def _revoke_public(inside: "asyncpg.Connection[asyncpg.Record]", database: str) -> None:
    await inside.execute(f"REVOKE ALL ON DATABASE {_quoted(database)} FROM PUBLIC")
    await inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    await inside.execute(f"GRANT CONNECT ON DATABASE {_quoted(database)} TO {_quoted(OPERATOR_ROLE)}")


async def _create_schema(inside: "asyncpg.Connection[asyncpg.Record]", database: str, service: str) -> None:
    role, place, operator = _quoted(service), _quoted(database), _quoted(OPERATOR_ROLE)
    await inside.execute(f"CREATE SCHEMA IF NOT EXISTS {role} AUTHORIZATION {role}")
    await inside.execute(f"GRANT CONNECT ON DATABASE {place} TO {role}")
    await inside.execute(f"ALTER ROLE {role} IN DATABASE {place} SET search_path = {role}")
    await inside.execute(
        f"ALTER ROLE {role} IN DATABASE {place} SET idle_in_transaction_session_timeout = '{_IDLE_IN_TRANSACTION}'"
    )
    await inside.execute(f"GRANT USAGE ON SCHEMA {role} TO {operator}")
    await inside.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {role} TO {operator}")
    await inside.execute(
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {role} IN SCHEMA {role} GRANT SELECT ON TABLES TO {operator}"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
