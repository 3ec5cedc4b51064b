"""Kafka's jars: a pinned list, fetched once, every one checked against its SHA-256 before it is run.

`python -m deploy.embedded.prepare` fetches them, `--lock` resolves the list again. The list names coordinates only;
the repository is the resolver's default or that of the user's Maven settings.
"""

import fcntl
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.errors import StackError, from_os_error

KAFKA = "4.4.0"
ROOTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA),
    # Kafka speaks slf4j 1.7: without this binding the broker logs nothing at all.
    ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5"),
)
LOCK = Path(__file__).with_name("jars.lock")
TIMEOUT_S = 60
TRIES = 3


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock: a Maven coordinate and the SHA-256 its bytes must have."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def home() -> Path:
    """Return the folder of downloads and running stacks: `HUTONG_HOME`, or `.hutong/` in the checkout."""
    named = os.environ.get("HUTONG_HOME")
    return Path(named).expanduser().resolve() if named else Path(__file__).resolve().parents[2] / ".hutong"


def read_lock(path: Path = LOCK) -> list[Jar]:
    """Return the pinned jars, in the order of the file."""
    jars = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            coordinate, digest = text.split()
            group, artifact, version = coordinate.split(":")
            algorithm, sha256 = digest.split(":")
            if algorithm != "sha256" or len(bytes.fromhex(sha256)) != 32:
                raise ValueError
        except ValueError:
            raise StackError(f"{path.name}, line {number} is not 'group:artifact:version sha256:HEX'.") from None
        jars.append(Jar(group, artifact, version, sha256))
    return jars


def fetch(folder: Path | None = None, *, lock: Path = LOCK, quiet: bool = False) -> list[Path]:
    """Return the paths of the lock's jars in its order; download missing ones and check all of them.

    Raises:
        StackError: the SHA-256 of a jar differs from the lock. The file is left in place for investigation.
    """
    folder = folder or home() / "jars"
    jars = read_lock(lock)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder, "fetching.lock"):
            missing = [jar for jar in jars if not (folder / jar.name).exists()]
            if missing:
                _download(missing, folder, quiet)
            for jar in jars:
                _check(jar, folder / jar.name)
    except OSError as error:
        raise from_os_error(error, "fetching Kafka's jars") from error
    return [folder / jar.name for jar in jars]


def resolve() -> list[Jar]:
    """Resolve over the network the jars that ROOTS need, with the SHA-256 of each download."""
    from jgo.maven import MavenContext, PythonResolver

    with tempfile.TemporaryDirectory() as scratch:
        resolver = PythonResolver()
        context = MavenContext(resolver=resolver, repo_cache=Path(scratch), local_repos=[], timeout=TIMEOUT_S)
        jars: dict[tuple[str, str], Jar] = {}
        # One root at a time: resolved together, the versions that log4j manages for its own tests (a Kafka client of
        # 3.9 among them) would win over Kafka's. Kafka comes first and keeps its versions.
        for root in ROOTS:
            inputs, transitive = resolver.resolve([context.create_dependency(":".join(root))])
            for dependency in (*inputs, *transitive):
                key = (dependency.groupId, dependency.artifactId)
                if dependency.scope not in ("compile", "runtime", None) or dependency.type != "jar" or key in jars:
                    continue
                digest = hashlib.sha256(dependency.artifact.resolve().read_bytes()).hexdigest()
                jars[key] = Jar(*key, dependency.version, digest)
    return [jars[key] for key in sorted(jars)]


def _check(jar: Jar, path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != jar.sha256:
        raise StackError(
            f"{jar.name} is not the jar this project was tested with: its SHA-256 is {found}, jars.lock says "
            f"{jar.sha256}; remove {path} to fetch it again."
        )


def _download(jars: list[Jar], folder: Path, quiet: bool) -> None:
    # Imported here: a start with every jar at hand should not pay for an HTTP client and a progress bar.
    from jgo.maven import MavenContext, PythonResolver
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        Progress(*columns, console=Console(stderr=True), disable=quiet) as progress,
        # On the same file system, so that a jar appears whole or not at all.
        tempfile.TemporaryDirectory(dir=folder, prefix="arriving-") as scratch,
    ):
        if quiet or not progress.console.is_terminal:
            print(f"Fetching {len(jars)} jars of Apache Kafka {KAFKA} ...", file=sys.stderr, flush=True)
        whole = progress.add_task("Apache Kafka", total=len(jars))
        for jar in jars:
            for left in reversed(range(TRIES)):
                cache = Path(scratch) / f"{jar.name}-{left}"
                context = MavenContext(resolver=PythonResolver(), repo_cache=cache, local_repos=[], timeout=TIMEOUT_S)
                try:
                    arrived = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
                    break
                except OSError as error:
                    # requests' own errors are OSErrors without an errno; a full disk has one and is not retried.
                    if error.errno is not None:
                        raise
                    reason = type(error).__name__
                except RuntimeError as error:
                    reason = str(error).partition(" in remote")[0]
                if not left:
                    raise StackError(
                        f"{jar.name} could not be downloaded ({reason}); try again when the network is back."
                    )
            _check(jar, arrived)
            arrived.replace(folder / jar.name)
            progress.update(whole, advance=1, description=jar.artifact)


@contextmanager
def exclusive(folder: Path, name: str) -> Iterator[None]:
    """Hold a file lock in the folder against other processes; it ends with this process."""
    handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(handle, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_lock(jars: list[Jar]) -> None:
    lines = [
        "# The embedded broker's jars. Made by `python -m deploy.embedded.prepare --lock`; every start checks them.",
        *(f"{jar.group}:{jar.artifact}:{jar.version} sha256:{jar.sha256}" for jar in jars),
    ]
    LOCK.write_text("\n".join(lines) + "\n", "utf-8")
