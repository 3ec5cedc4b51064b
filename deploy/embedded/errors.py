"""The one error of the embedded stack."""

import errno


class StackError(Exception):
    """A failure of the stack, described in one sentence for its user."""


def from_os_error(error: OSError, doing: str) -> StackError:
    """Return the error for an operating system error that occurred while `doing` something ("writing the jars")."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StackError(f"The disk is full: no room while {doing}.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StackError(f"Not allowed to use {error.filename or 'a file'} while {doing}.")
    return StackError(f"Failed while {doing}: {error.strerror or error}.")


def from_server(line: str, what: str) -> StackError:
    """Return the error for the log line in which a server gives the reason why it failed."""
    if "No space left on device" in line:
        return StackError(f"The disk is full: {what}.")
    return StackError(f"{what}: {line}")
