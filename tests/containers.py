"""The suite's second stack: the same Kafka and PostgreSQL in containers, where a Docker Engine runs on this machine.

Addresses, passwords, access rules and the broker's settings are the embedded stack's own; only who runs the servers
differs. The images are the settings HUTONG_KAFKA_IMAGE and HUTONG_POSTGRES_IMAGE.
"""

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import docker.errors  # type: ignore[import-untyped]
import psutil
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

# Its companion that removes containers is another image to fetch; `remove_orphans` does that work here.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")

from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from deploy.embedded import StackError, jars
from deploy.embedded.files import HOST, last_line
from deploy.embedded.kafka import ADMIN, LOG4J, EmbeddedKafka
from deploy.embedded.postgres import SETTINGS, SUPERUSER, EmbeddedPostgres
from deploy.embedded.stack import LocalStack
from deploy.progress import NoProgressError, ProgressMonitor

# Which host and process a container belongs to.
OWNER = "hutong.test.owner"
FOLDER = "/tmp/hutong"
STOP_S = 20
# The official image's own start script formats without users, so this one replaces it.
START = """\
set -e
if [ ! -e /tmp/kafka-data/meta.properties ]; then
    KAFKA_JVM_PERFORMANCE_OPTS=-XX:TieredStopAtLevel=1 /opt/kafka/bin/kafka-storage.sh format \\
        --config {folder}/server.properties --cluster-id {known.cluster_id} \\
        --add-scram 'SCRAM-SHA-512=[name={admin},password={known.admin_password}]' \\
        --add-scram 'SCRAM-SHA-512=[name=broker,password={known.broker_password}]'
fi
exec /opt/kafka/bin/kafka-server-start.sh {folder}/server.properties
"""


def kafka_image() -> str:
    """An image laid out like the official one: Kafka's scripts in /opt/kafka/bin."""
    return os.environ.get("HUTONG_KAFKA_IMAGE", f"apache/kafka:{jars.KAFKA}")


def postgres_image() -> str:
    """An image that accepts the official one's POSTGRES_* variables."""
    return os.environ.get("HUTONG_POSTGRES_IMAGE", "postgres:18")


def check_engine() -> None:
    """Check that a Docker Engine answers and fetch missing images.

    Raises: StackError, with one sentence, when no Engine answers or an image cannot be fetched.
    """
    try:
        client = DockerClient().client
    except docker.errors.DockerException:
        raise StackError("No Docker Engine answers here: start one, or run `make test`, which needs none.") from None
    try:
        for image in (kafka_image(), postgres_image()):
            _bring(client, image)
        remove_orphans(client)
    finally:
        client.close()


def _bring(client: Any, image: str) -> None:
    try:
        try:
            client.images.get(image)
        except docker.errors.ImageNotFound:
            print(f"Fetching the image {image}, once.", file=sys.stderr)
            client.images.pull(image)
    except docker.errors.APIError:
        raise StackError(
            f"The image {image} is not here and could not be fetched: name another one "
            "(HUTONG_KAFKA_IMAGE, HUTONG_POSTGRES_IMAGE) or make both with tests/images/build.sh."
        ) from None


def remove_orphans(client: Any) -> None:
    """Remove the containers of test runs on this host whose process is gone, killed before it could clean up."""
    for container in client.containers.list(all=True, filters={"label": OWNER}):
        host, _, pid = container.labels[OWNER].rpartition(":")
        if host == socket.gethostname() and not psutil.pid_exists(int(pid)):
            try:
                container.remove(force=True, v=True)
            except docker.errors.NotFound:
                # Another run that starts now removed it first.
                continue


class Container:
    """One container through its starts and stops, with one port published on loopback; data lives until `remove`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._made: DockerContainer | None = None
        self._answered = False

    def start(
        self,
        image: str,
        *,
        port: int,
        inside: int,
        environment: Mapping[str, str],
        files: Mapping[str, str],
        command: list[str] | None = None,
        **options: Any,
    ) -> None:
        """Start the container with its data; the first start creates it. `files` are put below FOLDER."""
        begin: Callable[[], object]
        if self._made is None:
            self._made = DockerContainer(image, env=dict(environment))
            if command is not None:
                self._made.with_command(command)
            for name, text in files.items():
                self._made.with_copy_into_container(text.encode(), f"{FOLDER}/{name}")
            # Not `with_bind_ports`: it would publish on every address of the machine.
            self._made.ports[f"{inside}/tcp"] = (HOST, port)  # type: ignore[assignment]
            self._made.with_kwargs(labels={OWNER: f"{socket.gethostname()}:{os.getpid()}"}, **options)
            begin = self._made.start
        else:
            begin = self._made.get_wrapped_container().start
        try:
            begin()
        except docker.errors.APIError as error:
            raise StackError(f"{self._name}'s container could not be started: {error.explanation or error}") from error

    def running(self) -> bool:
        return bool(self._state().get("Running"))

    def pid(self) -> int:
        """Process id of the first process on the Engine's host; 0 when the container does not run."""
        return int(self._state().get("Pid", 0))

    def answers(self, command: list[str]) -> bool:
        """Whether `command` succeeds inside the container."""
        assert self._made is not None
        try:
            return self._made.exec(command).exit_code == 0
        except docker.errors.APIError:
            # The container has ended; the caller checks.
            return False

    def log(self) -> str:
        return "" if self._made is None else self._made.get_wrapped_container().logs().decode(errors="replace")

    def stop(self, patience_s: float) -> None:
        if self.running():
            assert self._made is not None
            # Before it first answers there is nothing to save, and the shell that prepares it handles no signal.
            self._made.get_wrapped_container().stop(timeout=int(patience_s) if self._answered else 0)

    def kill(self, signal: str = "SIGKILL") -> None:
        """Send the signal and return when the container has ended."""
        if self.running():
            assert self._made is not None
            wrapped = self._made.get_wrapped_container()
            wrapped.kill(signal)
            wrapped.wait(timeout=STOP_S)

    def remove(self) -> None:
        """Remove the container and its data."""
        if self._made is not None:
            # Also closes the connection to the Engine.
            self._made.stop()
            self._made = None

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until `ready`, which blocks for a while itself, as long as the log gets new lines.

        Raises: StackError when the container ends, its log stalls or HUTONG_START_LIMIT passes first.
        """
        progress = ProgressMonitor(f"The start of {self._name}'s container", "its log ends with")
        while not ready():
            if not self.running():
                raise StackError(f"{self._name}'s container ended while starting: {last_line(self.log())}")
            try:
                progress.check(len(set(self.log().splitlines())), "different lines of its log")
            except NoProgressError as error:
                line = last_line(self.log())
                self.kill()
                raise StackError(f"{error} {line}") from None
        self._answered = True

    def _state(self) -> dict[str, Any]:
        if self._made is None or self._made.status == "not_started":
            return {}
        self._made.reload()
        state: dict[str, Any] = self._made.get_wrapped_container().attrs["State"]
        return state


class ContainerKafka(EmbeddedKafka):
    """One broker in a container, with the embedded one's settings, users and access rules.

    It listens on the same port number inside and outside: a broker also calls itself by its advertised address.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._box = Container("Kafka")

    @property
    def pids(self) -> list[int]:
        """The broker's process id on the Engine's host."""
        return [self._box.pid()]

    def running(self) -> bool:
        return self._box.running()

    def start(self) -> None:
        if self.running():
            raise StackError("Kafka is already running.")
        self.directory.mkdir(parents=True, exist_ok=True)
        known = self._identity = self._load_or_make()
        self._box.start(
            kafka_image(),
            port=known.ports[0],
            inside=known.ports[0],
            environment={
                "KAFKA_HEAP_OPTS": f"-Xmx{self._heap_mb}m",
                "KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC",
                "KAFKA_LOG4J_OPTS": f"-Dlog4j2.configurationFile={FOLDER}/log4j2.properties",
            },
            files={
                "server.properties": self._properties(0),
                "log4j2.properties": LOG4J,
                "start.sh": START.format(folder=FOLDER, known=known, admin=ADMIN),
            },
            entrypoint=["sh", f"{FOLDER}/start.sh"],
        )
        client = AdminClient({**self.admin_config, "reconnect.backoff.max.ms": "100", "log_level": "0"})

        def ready() -> bool:
            try:
                return len(client.list_topics(timeout=1).brokers) == 1
            except KafkaException:
                return False

        self._box.wait(ready)

    def stop(self, patience_s: float = STOP_S) -> None:
        self._box.stop(patience_s)

    def kill(self, node: int | None = None) -> None:
        self._box.kill()

    def start_node(self, node: int) -> None:
        self.start()

    def remove(self) -> None:
        """Remove the container and its data."""
        self._box.remove()

    def _properties(self, node: int) -> str:
        known = self._require_identity()
        # Of two lines with one name the last one counts.
        return super()._properties(node) + (
            f"listeners=CLIENT://0.0.0.0:{known.ports[node]},CONTROLLER://{HOST}:{known.controller_ports[node]}\n"
            "log.dirs=/tmp/kafka-data\n"
        )


class ContainerPostgres(EmbeddedPostgres):
    """PostgreSQL in a container with the embedded one's settings; everybody comes over loopback, the superuser too."""

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        super().__init__(directory, port=0, durable=durable)
        self._box = Container("PostgreSQL")

    @property
    def pid(self) -> int:
        """The server's process id on the Engine's host."""
        return self._box.pid()

    @property
    def socket_directory(self) -> Path:
        """No socket leaves the container: what libpq calls `host` is the loopback address."""
        return Path(HOST)

    def dsn(self, role: str, password: str, database: str = "postgres", *, tcp: bool = True) -> str:
        return super().dsn(role, password, database, tcp=True)

    def running(self) -> bool:
        return self._box.running()

    def start(self) -> None:
        if self.running():
            raise StackError("PostgreSQL is already running.")
        self._prepare()
        assert self.port is not None
        self._box.start(
            postgres_image(),
            port=self.port,
            inside=5432,
            environment={
                "POSTGRES_USER": SUPERUSER,
                "POSTGRES_PASSWORD": self.superuser_password,
                "POSTGRES_INITDB_ARGS": (
                    "--encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C --no-sync"
                ),
            },
            files={},
            command=["postgres", *self._settings()],
            stop_signal="SIGINT",
            # Parallel queries meet in /dev/shm, which is small in a container.
            shm_size="256m",
        )
        # Over TCP: while it prepares its data, the official image answers on the socket only.
        self._box.wait(lambda: self._box.answers(["pg_isready", "-q", "-h", HOST, "-t", "1"]))

    def stop(self) -> None:
        self._box.stop(STOP_S)

    def kill(self) -> None:
        self._box.kill()

    def restart(self) -> None:
        self._box.kill("SIGQUIT")
        self.start()

    def remove(self) -> None:
        """Remove the container and its data."""
        self._box.remove()

    def _settings(self) -> Sequence[str]:
        # The container decides where it listens: those are the lines with a placeholder.
        lines = [line for line in SETTINGS.splitlines() if "=" in line and "{" not in line]
        if not self._durable:
            lines += ["fsync = off", "full_page_writes = off"]
        pairs = (line.split(" = ") for line in lines)
        return [word for name, value in pairs for word in ("-c", f"{name}={value.strip(chr(39))}")]


class ContainerStack(LocalStack):
    """LocalStack's interface over two containers, which are removed with their data when the `with` block ends."""

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        super().__init__(directory, durable=durable)
        self.kafka: ContainerKafka = ContainerKafka(self.directory / "kafka")
        self.postgres: ContainerPostgres = ContainerPostgres(self.directory / "postgres", durable=durable)

    def start(self) -> None:
        try:
            super().start()
        except BaseException:
            self._remove()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Remove first: a container whose data is deleted need not end cleanly.
        try:
            self._remove()
        finally:
            super().__exit__(kind, error, trace)

    def _remove(self) -> None:
        try:
            self.kafka.remove()
        finally:
            self.postgres.remove()
