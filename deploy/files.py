"""Write files atomically and privately into folders that another user may control, and never replace foreign files.

A file may be replaced if it is a regular file of this user with one name (no hard link) that its writer recognises.
Links are not followed. Between the check and the rename, the folder's owner may put another entry in its place; the
rename then replaces that entry of their folder, never the file it points to.
"""

import errno
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_IN_FOLDER = os.O_NOFOLLOW | os.O_CLOEXEC


class NotOursError(FileExistsError):
    """The path holds something that this program did not write; it is unchanged. ``filename`` is the path."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            errno.EEXIST,
            f"{path} is a link or belongs to another user, and was left unchanged: move it away",
            str(path),
        )


def private_folder(folder: Path, mode: int = 0o700) -> None:
    """Make a folder that only its owner may enter, or with another mode only traverse.

    Raises:
        NotOursError: it belongs to another user, who could put anything into it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=mode)
    if folder.stat().st_uid != os.geteuid():
        raise NotOursError(folder)
    folder.chmod(mode)


def write_private(
    path: Path,
    content: str | bytes,
    *,
    owner: tuple[int, int] | None = None,
    recognise: Callable[[BinaryIO], bool] | None = None,
) -> None:
    """Write atomically a file that only its owner may read.

    Args:
        path: the file; its folder is made if it is missing.
        content: text is written as UTF-8.
        owner: the user id and group id that the file is given to; None keeps this process's.
        recognise: decides from the content whether an existing file of this user may be replaced.

    Raises:
        NotOursError: the path holds something that may not be replaced.
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _is_replaceable(folder, path.name, owner, recognise):
            raise NotOursError(path)
        _write(folder, path.name, content.encode() if isinstance(content, str) else content, owner)
    finally:
        os.close(folder)


def _is_replaceable(
    folder: int, name: str, owner: tuple[int, int] | None, recognise: Callable[[BinaryIO], bool] | None
) -> bool:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return True
    owners = {os.geteuid()} if owner is None else {os.geteuid(), owner[0]}
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_uid not in owners:
        return False
    if recognise is None:
        return True
    with open(os.open(name, os.O_RDONLY | os.O_NONBLOCK | _IN_FOLDER, dir_fd=folder), "rb") as file:  # noqa: PTH123
        return recognise(file)


def _write(folder: int, name: str, content: bytes, owner: tuple[int, int] | None) -> None:
    unfinished = f".hutong-{secrets.token_hex(16)}"
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _IN_FOLDER, 0o600, dir_fd=folder)
    try:
        with open(handle, "wb") as file:  # noqa: PTH123
            file.write(content)
            file.flush()
            if owner is not None:
                os.fchown(handle, *owner)
            os.fsync(handle)
        os.replace(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(unfinished, dir_fd=folder)
        raise
