"""The one error of the embedded stack."""

import errno


class StackError(Exception):
    """What stops the stack, in one sentence for the person at the keyboard."""


def from_os_error(error: OSError, doing: str) -> StackError:
    """The sentence for an operating system error met while `doing` something ("writing the jars")."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StackError(f"The disk is full: no room while {doing}.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StackError(f"Not allowed to use {error.filename or 'a file'} while {doing}.")
    return StackError(f"Failed while {doing}: {error.strerror or error}.")


def from_server(line: str, what: str) -> StackError:
    """The sentence for the line in which a server says why it did not do `what`."""
    if "No space left on device" in line:
        return StackError(f"The disk is full: {what}.")
    return StackError(f"{what}: {line}")
