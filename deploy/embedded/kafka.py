"""Apache Kafka (KRaft) on loopback, with SCRAM users and access lists from the first start, as in production."""

import base64
import json
import os
import re
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.embedded import jars
from deploy.embedded.archive import java_binary, quick_start_archive
from deploy.embedded.errors import StackError, from_os_error, from_server
from deploy.embedded.files import HOST, free_ports, is_free, is_listening, last_line
from deploy.embedded.process import Server
from deploy.files import private_folder, write_private
from deploy.progress import LogMilestones, NoProgressError, ProgressMonitor

# What confluent-kafka's clients take, as they declare it.
ClientConfig = dict[str, str | int | float | bool]

ADMIN = "admin"
STOP_S = 20.0
TRAINING_S = 120.0
# One collector thread, not several, on a machine shared with PostgreSQL and the services.
JVM = ("-XX:+UseSerialGC", "-Xlog:aot=off", "-Xlog:aot+codecache*=off", "-Xlog:cds=off")
# The fast compiler alone: a broker that runs for minutes does not earn back the cost of the optimising compiler.
FAST_COMPILER = ("-XX:TieredStopAtLevel=1",)

# To standard output, which is the node's log file. Denials are logged at INFO by the authorizer's own logger.
LOG4J = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
logger.denied.name = kafka.authorizer.logger
logger.denied.level = info
logger.loading.name = kafka.log.LogManager
logger.loading.level = info
logger.recovery.name = org.apache.kafka.storage.internals.log.LogLoader
logger.recovery.level = info
"""
RECOVERY_LINE = re.compile(
    r"Recovering unflushed segment (\d+)\..* for (\S+)\.$|Completed load of Log\(dir=([^,]+)", re.MULTILINE
)
"""The lines that a starting broker logs for each recovered segment and each loaded log."""


@dataclass(frozen=True, slots=True)
class _Identity:
    """What a directory keeps between starts: the cluster's id, its passwords, and two ports for each broker."""

    cluster_id: str
    admin_password: str
    broker_password: str
    node_password: str
    ports: tuple[int, ...]
    controller_ports: tuple[int, ...]


class EmbeddedKafka:
    """One to a few brokers, each also a controller, below `directory`, which keeps data and passwords between starts.

    `port` and `controller_port` are the first broker's, the others take the next numbers; None means free ones, chosen
    at the first start and kept. `brief` optimises for a run of minutes. Every failure is a StackError of one sentence.
    """

    admin_user = ADMIN

    def __init__(
        self,
        directory: Path,
        *,
        brokers: int = 1,
        port: int | None = None,
        controller_port: int | None = None,
        heap_mb: int = 512,
        brief: bool = False,
    ) -> None:
        self.directory = directory.resolve()
        self.brokers = brokers
        self._wanted = (port, controller_port)
        self._heap_mb = heap_mb
        self._brief = brief
        self._servers: list[Server | None] = [None] * brokers
        self._recovery: dict[int, LogMilestones] = {}
        self._identity: _Identity | None = None
        self._classpath: list[Path] = []
        self._archive: Path | None = None
        self._training_archive: Path | None = None

    @property
    def bootstrap(self) -> str:
        """The brokers' addresses, `host:port,host:port`."""
        return ",".join(f"{HOST}:{port}" for port in self._require_identity().ports)

    @property
    def admin_password(self) -> str:
        return self._require_identity().admin_password

    @property
    def pid(self) -> int:
        """The first broker's process id."""
        return self.pids[0]

    @property
    def pids(self) -> list[int]:
        """The process ids of the brokers that were started, in order."""
        return [server.pid for server in self._servers if server is not None]

    @property
    def log(self) -> Path:
        """The first broker's log file."""
        return self._node_folder(0) / "kafka.log"

    @property
    def admin_config(self) -> ClientConfig:
        """Configuration for confluent-kafka clients, as the administrator."""
        return self.client_config(ADMIN, self.admin_password)

    def client_config(self, user: str, password: str) -> ClientConfig:
        """Return the configuration of a confluent-kafka client."""
        return {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": password,
        }

    def aiokafka_kwargs(self, user: str, password: str) -> dict[str, str]:
        """Keyword arguments for aiokafka's clients."""
        return {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": user,
            "sasl_plain_password": password,
        }

    def running(self) -> bool:
        """Whether every broker's process lives."""
        return all(server is not None and server.running() for server in self._servers)

    def start(self) -> None:
        """Format at the first start, start every broker and return when each answers an authenticated request."""
        if any(server is not None and server.running() for server in self._servers):
            raise StackError("Kafka is already running.")
        self._classpath = jars.fetch()
        if self._training_archive is None:
            self._archive = quick_start()
        try:
            private_folder(self.directory)
            self._identity = self._load_or_make()
            for node in range(self.brokers):
                self._format(node)
            for node in range(self.brokers):
                self._launch(node)
        except OSError as error:
            self.kill()
            raise from_os_error(error, "starting Kafka") from error
        except BaseException:
            self.kill()
            raise
        self._wait_ready()

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Shut down cleanly, and kill after the timeout. It does nothing if no broker runs."""
        for server in self._servers:
            if server is not None and server.running():
                server.send_signal(signal.SIGTERM)
        for server in self._servers:
            if server is not None:
                server.stop(signal.SIGTERM, timeout_s)

    def kill(self, node: int | None = None) -> None:
        """Send SIGKILL to all brokers or one (0, 1, ...); data neither on disk nor on another broker is lost."""
        for index, server in enumerate(self._servers):
            if server is not None and node in (None, index):
                server.kill()

    def restart(self) -> None:
        """Stop and start again with the same data, ports and passwords."""
        self.stop()
        self.start()

    def start_node(self, node: int) -> None:
        """Start one broker again after `kill(node)` and return when it answers."""
        self._launch(node)
        self._wait_ready()

    def _require_identity(self) -> _Identity:
        if self._identity is None:
            raise StackError("Kafka has not been started yet.")
        return self._identity

    def _node_folder(self, node: int) -> Path:
        return self.directory / f"node-{node + 1}"

    def _load_or_make(self) -> _Identity:
        file = self.directory / "identity.json"
        if file.exists():
            raw = json.loads(file.read_text("utf-8"))
            kept = _Identity(
                **{**raw, "ports": tuple(raw["ports"]), "controller_ports": tuple(raw["controller_ports"])}
            )
            if len(kept.ports) != self.brokers:
                raise StackError(f"{self.directory} holds a cluster of {len(kept.ports)}, not of {self.brokers}.")
            taken = [port for port in (*kept.ports, *kept.controller_ports) if not is_free(port)]
            if not taken or self._identity is not None or self._wanted != (None, None):
                return kept
            # Nobody chose these ports and this object has not given them out, so others may be taken.
            fresh = free_ports(2 * self.brokers)
            kept = replace(kept, ports=tuple(fresh[: self.brokers]), controller_ports=tuple(fresh[self.brokers :]))
            write_private(file, json.dumps(asdict(kept), indent=2))
            return kept
        port, controller_port = self._wanted
        free = iter(free_ports(2 * self.brokers))
        made = _Identity(
            # An id may not begin with a dash: the formatter would take it for an option.
            cluster_id="H" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode()[1:22],
            admin_password=secrets.token_hex(24),
            broker_password=secrets.token_hex(24),
            node_password=secrets.token_hex(24),
            ports=tuple(next(free) if port is None else port + i for i in range(self.brokers)),
            controller_ports=tuple(
                next(free) if controller_port is None else controller_port + i for i in range(self.brokers)
            ),
        )
        write_private(file, json.dumps(asdict(made), indent=2))
        return made

    def _properties(self, node: int) -> str:
        known = self._require_identity()
        copies = min(3, self.brokers)
        settings: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": node + 1,
            "controller.quorum.voters": ",".join(f"{i + 1}@{HOST}:{p}" for i, p in enumerate(known.controller_ports)),
            "listeners": f"CLIENT://{HOST}:{known.ports[node]},CONTROLLER://{HOST}:{known.controller_ports[node]}",
            "advertised.listeners": f"CLIENT://{HOST}:{known.ports[node]}",
            "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
            "inter.broker.listener.name": "CLIENT",
            "controller.listener.names": "CONTROLLER",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            "listener.name.client.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required "
                f'username="broker" password="{known.broker_password}";'
            ),
            # SCRAM credentials are in the controllers' own log, so the controllers use PLAIN among themselves.
            "sasl.mechanism.controller.protocol": "PLAIN",
            "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.controller.plain.sasl.jaas.config": (
                "org.apache.kafka.common.security.plain.PlainLoginModule required "
                f'username="node" password="{known.node_password}" user_node="{known.node_password}";'
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": f"User:{ADMIN};User:broker;User:node",
            "auto.create.topics.enable": "false",
            "log.dirs": self._node_folder(node) / "data",
            "default.replication.factor": copies,
            "min.insync.replicas": 2 if copies == 3 else 1,
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": 5,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": 2 if copies == 3 else 1,
            "transaction.state.log.num.partitions": 5,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": 2 if copies == 3 else 1,
            "share.coordinator.state.topic.num.partitions": 5,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 6000,
            # A killed broker is readmitted only when its old session has expired.
            "broker.session.timeout.ms": 5000,
            "broker.heartbeat.interval.ms": 500,
            "log.retention.hours": 168,
            "log.retention.check.interval.ms": 10_000,
            "log.initial.task.delay.ms": 5_000,
            "log.cleaner.backoff.ms": 1_000,
            "log.cleaner.dedupe.buffer.size": 32 * 2**20,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "num.recovery.threads.per.data.dir": 2,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def _format(self, node: int) -> None:
        folder = self._node_folder(node)
        folder.mkdir(exist_ok=True)
        write_private(folder / "server.properties", self._properties(node))
        write_private(folder / "log4j2.properties", LOG4J)
        if (folder / "data" / "meta.properties").exists():
            return
        known = self._require_identity()
        command = self._java(
            folder,
            "format",
            ["-Xmx128m", *FAST_COMPILER, *self._jvm(train=False)],
            "kafka.tools.StorageTool",
            [
                "format",
                "--config",
                str(folder / "server.properties"),
                "--cluster-id",
                known.cluster_id,
                "--add-scram",
                f"SCRAM-SHA-512=[name={ADMIN},password={known.admin_password}]",
                "--add-scram",
                f"SCRAM-SHA-512=[name=broker,password={known.broker_password}]",
            ],
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise from_server(last_line(done.stderr + done.stdout), "Kafka's storage could not be formatted")

    def _launch(self, node: int) -> None:
        known = self._require_identity()
        for port in (known.ports[node], known.controller_ports[node]):
            if not is_free(port):
                raise StackError(f"Port {port} is taken by another program; Kafka needs it.")
        folder = self._node_folder(node)
        command = self._java(
            folder,
            "server",
            [f"-Xmx{self._heap_mb}m", *(FAST_COMPILER if self._brief else ()), *self._jvm(train=True)],
            "kafka.Kafka",
            [str(folder / "server.properties")],
        )
        self._recovery[node] = LogMilestones(folder / "kafka.log", RECOVERY_LINE)
        self._servers[node] = Server(command, log=folder / "kafka.log", directory=folder)

    def _jvm(self, *, train: bool) -> list[str]:
        if self._training_archive is not None:
            return [*JVM, f"-XX:AOTCacheOutput={self._training_archive}"] if train else list(JVM)
        return [*JVM, f"-XX:AOTCache={self._archive}"] if self._archive else list(JVM)

    def _java(self, folder: Path, name: str, options: Sequence[str], main: str, arguments: Sequence[str]) -> list[str]:
        """Return the command, with its arguments in a private file: no password appears in the process list."""
        words = [
            *options,
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}",
            "-cp",
            os.pathsep.join(map(str, self._classpath)),
            main,
            *arguments,
        ]
        file = folder / f"{name}.args"
        quoted = ('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
        write_private(file, "\n".join(quoted) + "\n")
        return [str(java_binary()), f"@{file}"]

    def _wait_ready(self) -> None:
        """Wait until every broker answers, as long as logs are recovered and loaded."""
        try:
            progress = ProgressMonitor("Kafka's start", f"see its log {self.log}")
            for port in (self._require_identity().ports[node] for node in self._recovery):
                self._wait_listening(port, progress)
            self._wait_answering(progress)
        except NoProgressError as error:
            self.kill()
            raise StackError(f"{error}.") from None

    def _check_progress(self, progress: ProgressMonitor) -> None:
        for node, server in enumerate(self._servers):
            if server is not None and not server.running():
                log = self._node_folder(node) / "kafka.log"
                line = last_line(log.read_text("utf-8", "replace"))
                self.kill()
                raise from_server(line, f"Kafka ended while starting (log: {log})")
        progress.check(sum(log.count() for log in self._recovery.values()), "logs and segments")

    def _wait_listening(self, port: int, progress: ProgressMonitor) -> None:
        while not is_listening(port):
            self._check_progress(progress)
            time.sleep(0.03)

    def _wait_answering(self, progress: ProgressMonitor) -> None:
        quick = {"reconnect.backoff.ms": "20", "reconnect.backoff.max.ms": "100", "log_level": "0"}
        client = AdminClient({**self.admin_config, **quick})
        while not self._all_joined(client):
            self._check_progress(progress)
            time.sleep(0.05)

    def _all_joined(self, client: AdminClient) -> bool:
        try:
            return len(client.list_topics(timeout=2).brokers) == self.brokers
        except KafkaException:
            return False


def quick_start() -> Path | None:
    """Return the archive that speeds up a broker's start, made now if missing, or None if that failed."""
    return quick_start_archive(JVM, _train)


def _train(archive: Path) -> None:
    """Start and stop a broker that writes the archive.

    Raises:
        StackError: the broker did not start.
        OSError: there is no place for its files.
    """
    with tempfile.TemporaryDirectory(prefix="hutong-") as scratch:
        trainee = EmbeddedKafka(Path(scratch))
        trainee._training_archive = archive
        try:
            trainee.start()
            trainee.stop(timeout_s=TRAINING_S)
        finally:
            trainee.kill()
