"""Where a server listens."""

import os
import socket

from leek.protocol import LOCALHOST

BACKLOG = 128  # connections that the system keeps for us


def addresses_of(host: str) -> tuple[str, ...]:
    """Return the addresses of a host to listen at; raise OSError if it has none."""
    if host == "localhost":
        return LOCALHOST
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except ValueError as error:  # no name at all: too long, or with a NUL
        raise OSError(str(error)) from error
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def listening_socket(address: str, port: int) -> socket.socket:
    """Listen at an address; an IPv6 one does not take the IPv4 one along."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            # This skips the wait for old connections; two listeners stay impossible.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening
