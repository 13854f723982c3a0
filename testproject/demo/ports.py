"""Ports that nobody listens on."""

import socket

LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


def free_port(preferred: int) -> int:
    """Return the preferred port, or another one if somebody has taken it."""
    port = preferred
    while not is_free(port):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
    return port


def is_free(port: int) -> bool:
    """Tell whether a port can be listened on at each of this machine's loopback addresses."""
    return all(can_listen(family, host, port) for family, host in LOOPBACKS if has(family, host))


def has(family: socket.AddressFamily, host: str) -> bool:
    """Tell whether this machine has an address at all."""
    return can_listen(family, host, 0)


def can_listen(family: socket.AddressFamily, host: str, port: int) -> bool:
    """Try to listen, and let go at once."""
    try:
        socket.create_server((host, port), family=family).close()
    except OSError:
        return False
    return True
