"""How long this end of a connection sends to, and waits for, one that is gone without a word."""

import socket
from collections.abc import Container
from math import ceil

_OPTIONS = {  # of a socket, by libpq's names; not every system has all
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}


def waits(seconds: float) -> dict[str, int]:
    """Return the options, by libpq's names, that end a link which is dead for so many seconds."""
    return {
        "keepalives_idle": ceil(seconds / 2),
        "keepalives_interval": ceil(seconds / 4),
        "keepalives_count": 2,
        "tcp_user_timeout": ceil(seconds * 1000),
    }


def give_up_when_dead(link: socket.socket, seconds: float, but_for: Container[str] = ()) -> None:
    """Have a link broken when nothing is acknowledged on it for so many seconds.

    By default a system sends for a quarter of an hour what is not acknowledged, and waits for ever
    for an answer. It is the other end's system that acknowledges: a process there may be frozen.
    `but_for` names options, as libpq does, that are left as they are.
    """
    if "keepalives" not in but_for:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in waits(seconds).items():
        if name not in but_for and hasattr(socket, _OPTIONS[name]):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, _OPTIONS[name]), value)
