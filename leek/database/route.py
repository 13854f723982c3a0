"""At which address this machine is reached from where the database is."""

import socket

from django.db import connections

_ANY_PORT = 9  # nothing is sent there


def address_towards(alias: str, family: socket.AddressFamily) -> str | None:
    """Return this machine's address on the way to the host of a database; None where it has none.

    The system tells which one it would send from. There is none where the database is on this
    machine, be it behind a socket in a folder, or where its host has no address of this family.
    """
    host = str(connections[alias].settings_dict["HOST"]).partition(",")[0]
    if not host or host.startswith("/"):
        return None
    try:
        place = socket.getaddrinfo(host, _ANY_PORT, family, socket.SOCK_DGRAM)[0][4]
        with socket.socket(family, socket.SOCK_DGRAM) as unsent:
            unsent.connect(place)
            address = str(unsent.getsockname()[0])
    except (OSError, ValueError):
        return None
    return None if address.startswith("127.") or address == "::1" else address
