"""Helpers of both servers: free ports, the relevant line of a log."""

import re
import socket

HOST = "127.0.0.1"
SOCKET_PORT = 5432
"""The number in the name of PostgreSQL's Unix socket if it has no port."""
_RELEVANT = re.compile(r"ERROR|FATAL|PANIC|Exception|[Ee]rror:")


def free_ports(count: int) -> list[int]:
    """Return distinct ports that were free a moment ago."""
    held: list[socket.socket] = []
    try:
        for _ in range(count):
            held.append(socket.socket())
            held[-1].bind((HOST, 0))
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()


def is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As for servers, a port whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def is_listening(port: int) -> bool:
    """Return whether a program listens on this loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def last_line(log: str) -> str:
    """Return the last line that reports an error, or the last line if there is none."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    relevant = [line for line in lines if _RELEVANT.search(line) and not line.startswith("at ")]
    return (relevant or lines or ["it wrote nothing"])[-1][:400]
