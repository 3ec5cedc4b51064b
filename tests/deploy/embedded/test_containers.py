"""The suite's second stack: it reports failures in one sentence, listens on loopback only and leaves nothing."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker  # type: ignore[import-untyped]
import pytest

from deploy import progress
from deploy.embedded import StackError
from deploy.embedded.files import HOST
from deploy.embedded.stack import LocalStack
from tests.conftest import containers_only
from tests.containers import OWNER, Container, ContainerStack, check_engine, postgres_image

ROOT = Path(__file__).resolve().parents[3]
RUN = """\
import sys, time
from pathlib import Path
from tests.containers import ContainerStack
with ContainerStack(Path(sys.argv[1]), durable=False):
    print("started", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def another_run(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A started process with its own stack."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.readline() == "started\n"
            yield run
        finally:
            run.kill()


def containers_of(pid: int) -> int:
    client = docker.from_env()
    try:
        label = f"{OWNER}={socket.gethostname()}:{pid}"
        return len(client.containers.list(all=True, filters={"label": label}))
    finally:
        client.close()


def suite(**environment: str) -> tuple[int, str]:
    """Return the exit code of a run on containers and its standard error."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--collect-only",
            "-q",
            "-p",
            "no:cacheprovider",
            str(ROOT / "tests/deploy/embedded"),
        ],
        cwd=ROOT,
        env={**os.environ, "HUTONG_TEST_STACK": "containers", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr.strip()


class StartingContainer(Container):
    """A container without an Engine: it logs so many different lines, and then one again and again."""

    def __init__(self, lines: int) -> None:
        super().__init__("Kafka")
        self._lines = lines
        self._looked = 0
        self.killed = False

    def running(self) -> bool:
        return True

    def log(self) -> str:
        return "".join(f"line {number}\n" for number in range(min(self._looked, self._lines)))

    def kill(self, signal: str = "SIGKILL") -> None:
        self.killed = True

    def answers_after(self, looks: int) -> bool:
        time.sleep(0.05)
        self._looked += 1
        return self._looked > looks


def test_a_container_is_awaited_while_its_log_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "STALL_TIMEOUT", 0.3)
    container = StartingContainer(20)
    container.wait(lambda: container.answers_after(20))
    assert not container.killed


def test_a_container_whose_log_stalls_is_abandoned_and_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "STALL_TIMEOUT", 0.3)
    container = StartingContainer(3)
    message = r"^The start of Kafka's container made no progress .* 3 different lines of its log .* with line 2$"
    with pytest.raises(StackError, match=message):
        container.wait(lambda: container.answers_after(10_000))
    assert container.killed


def test_without_an_engine_the_container_suite_reports_one_sentence(tmp_path: Path) -> None:
    assert suite(DOCKER_HOST=f"unix://{tmp_path}/none.sock") == (
        pytest.ExitCode.USAGE_ERROR,
        "ERROR: No Docker Engine answers here: start one, or run `make test`, which needs none.",
    )


@containers_only
@pytest.mark.parametrize("image", ["127.0.0.1:1/nobody/has:this", "No image's name"])
def test_an_unavailable_image_is_reported_in_one_sentence(image: str) -> None:
    code, errors = suite(HUTONG_KAFKA_IMAGE=image)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert errors.splitlines()[-1].startswith(f"ERROR: The image {image} is not here and could not be fetched: ")


@containers_only
def test_the_servers_are_published_on_loopback_only(stack: LocalStack) -> None:
    client = docker.from_env()
    try:
        label = f"{OWNER}={socket.gethostname()}:{os.getpid()}"
        published = [
            binding["HostIp"]
            for container in client.containers.list(filters={"label": label})
            for bindings in container.ports.values()
            for binding in bindings or []
        ]
    finally:
        client.close()
    assert len(published) >= 2
    assert set(published) == {HOST}


@containers_only
def test_the_next_run_removes_the_containers_of_a_killed_one(
    stack: LocalStack, another_run: subprocess.Popen[str]
) -> None:
    check_engine()
    assert containers_of(another_run.pid) == 2
    another_run.kill()
    another_run.wait()
    assert containers_of(another_run.pid) == 2
    check_engine()
    assert containers_of(another_run.pid) == 0
    assert stack.kafka.running()
    assert stack.postgres.running()


@containers_only
def test_an_interrupted_run_removes_its_containers(another_run: subprocess.Popen[str]) -> None:
    assert containers_of(another_run.pid) == 2
    another_run.send_signal(signal.SIGINT)
    another_run.wait(60)
    assert containers_of(another_run.pid) == 0


@containers_only
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (postgres_image(), "ended while starting: .*not found"),
        ("127.0.0.1:1/nobody/has:this", "could not be started: .*127.0.0.1:1"),
    ],
    ids=["ends", "never-begins"],
)
def test_a_failed_server_start_is_reported_in_one_sentence_and_leaves_nothing(
    image: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = containers_of(os.getpid())
    monkeypatch.setenv("HUTONG_KAFKA_IMAGE", image)
    with pytest.raises(StackError, match=f"^Kafka's container {message}"):
        ContainerStack(tmp_path, durable=False).start()
    assert containers_of(os.getpid()) == before
