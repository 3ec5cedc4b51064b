"""A file is written completely or not at all, is readable by its owner only and never replaces a foreign file."""

import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.files import NotOursError, private_folder, write_private

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
SOMEBODY = (65534, 65534)


def a_link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def a_dangling_link(path: Path, secret: Path) -> None:
    path.symlink_to(secret.with_name("nowhere"))


def a_hard_link(path: Path, secret: Path) -> None:
    path.hardlink_to(secret)


def a_folder(path: Path, _: Path) -> None:
    path.mkdir()


def a_pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make", [a_link, a_dangling_link, a_hard_link, a_folder, a_pipe])
def test_a_path_that_is_not_ours_is_left_alone(tmp_path: Path, make: Callable[[Path, Path], None]) -> None:
    folder, secret = tmp_path / "a", tmp_path / "secret"
    folder.mkdir()
    secret.write_text("secret")
    secret.chmod(0o600)
    path = folder / "file"
    make(path, secret)
    before = path.lstat()

    with pytest.raises(NotOursError, match="was left unchanged: move it away") as refused:
        write_private(path, "new")

    after = path.lstat()
    assert refused.value.filename == str(path)
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)
    assert secret.read_text() == "secret"
    assert [each.name for each in folder.iterdir()] == ["file"]
    assert {each.name for each in tmp_path.iterdir()} == {"a", "secret"}


@as_root
def test_a_file_of_another_owner_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("theirs")
    os.chown(path, *SOMEBODY)

    with pytest.raises(NotOursError):
        write_private(path, "new")
    assert (path.read_text(), path.stat().st_uid) == ("theirs", SOMEBODY[0])


@as_root
def test_a_file_can_be_given_to_its_recipient(tmp_path: Path) -> None:
    """A file that is already theirs is replaced."""
    for text in ("old", "new"):
        write_private(tmp_path / "file", text, owner=SOMEBODY)
        status = (tmp_path / "file").stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (*SOMEBODY, 0o600)
    assert (tmp_path / "file").read_text() == "new"


def test_our_own_file_is_replaced_and_only_we_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "新")

    assert path.read_text("utf-8") == "新"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_its_writer_does_not_recognise_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, b"ours 1")
    write_private(path, b"ours 2", recognise=lambda file: file.read(4) == b"ours")
    path.write_bytes(b"a clerk's")

    with pytest.raises(NotOursError):
        write_private(path, b"ours 3", recognise=lambda file: file.read(4) == b"ours")
    assert path.read_bytes() == b"a clerk's"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            write_private(path, "new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_writer_killed_before_the_rename_leaves_the_old_file_intact(tmp_path: Path) -> None:
    """The temporary file has another name, and nobody else can read it."""
    path = tmp_path / "file"
    write_private(path, "old")
    killed = """
import os, signal, sys
from pathlib import Path
from deploy import files
os.replace = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
files.write_private(Path(sys.argv[1]), "new" * 1000)
"""
    writer = subprocess.run([sys.executable, "-c", killed, str(path)], check=False)

    assert writer.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    [remaining_file] = [each for each in tmp_path.iterdir() if each != path]
    assert remaining_file.name.startswith(".hutong-")
    assert stat.S_IMODE(remaining_file.stat().st_mode) == 0o600


def test_only_the_owner_can_use_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    private_folder(tmp_path / "a")
    private_folder(tmp_path / "b" / "c", 0o711)

    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "b/c")] == [0o700, 0o711]


@as_root
def test_a_folder_of_another_owner_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    os.chown(tmp_path / "a", *SOMEBODY)

    with pytest.raises(NotOursError):
        private_folder(tmp_path / "a")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o755
