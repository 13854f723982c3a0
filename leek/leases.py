"""The leases of servers: who is alive, by the database's clock."""

import os
import socket
import uuid
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from django.db.models import QuerySet

from leek.database import Now, address_towards, after, has_table
from leek.models import Servers, queue_database
from leek.places import Place
from leek.queues import Queues

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NETWORK = Path("/proc/self/ns/net")
_EVERYWHERE = {  # where a server may listen at all addresses of a family
    "0.0.0.0": socket.AF_INET,  # noqa: S104
    "::": socket.AF_INET6,
}


def this_host() -> str:
    """Return what tells apart the places where a port can be bound.

    That is a network namespace of one start of one machine: containers may share their name and
    even their machine id. Where the system does not tell, it is the name and hardware address.
    """
    try:
        return f"{_BOOT_ID.read_text().strip()}/{os.readlink(_NETWORK)}"
    except OSError:
        return f"{socket.gethostname()}/{uuid.getnode():x}"


def remedy() -> str | None:
    """Return what to do where no server can register, if there is more to do than to wait."""
    if has_table(queue_database(), Servers._meta.db_table):
        return None
    return "leek's tables are missing: run manage.py migrate"


def register(
    *,
    address: str,
    port: int,
    workers: int,
    queues: Queues,
    seconds: float,
    boot: uuid.UUID | None = None,
) -> Servers:
    """Add a server with a lease of so many seconds.

    `boot` is given where a server may register again: after it has lost its lease, or the answer
    to its first registration. It keeps one row. One that listens at all addresses is entered with
    the one at which others reach it that share its database, where there is one.
    """
    if boot:
        _servers().filter(boot=boot).delete()
    server = Servers(
        boot=boot or uuid.uuid4(),
        host=this_host(),
        hostname=socket.gethostname(),
        address=_shown(address),
        port=port,
        pid=os.getpid(),
        workers=workers,
        queues=queues,
        started_at=Now(),
        expires_at=after(seconds),
    )
    server.save(force_insert=True, using=queue_database())
    return server


def renew(server_id: int, seconds: float) -> bool:
    """Renew a lease; return whether the server still had one."""
    return bool(_servers().filter(pk=server_id).update(expires_at=after(seconds)))


def resign(server_id: int) -> None:
    """End a lease whose server has given back all tasks."""
    _servers().filter(pk=server_id).delete()


def predecessors(server: Servers) -> list[Servers]:
    """Return the servers that must be dead because `server` has bound their address and port.

    Who was entered as listening at all addresses has had this one as well.
    """
    addresses = {server.address, "::" if ":" in server.address else "0.0.0.0"}  # noqa: S104
    return list(
        _servers()
        .filter(host=server.host, address__in=addresses, port=server.port)
        .exclude(pk=server.pk)
    )


def listening() -> list[Servers]:
    """Return the servers that are alive and listen, in the order of their start."""
    return list(_listening())


def siblings(boot: uuid.UUID) -> list[Servers]:
    """Return those but for the one of this start, and for any that is reached at its place.

    Such a one is on another host that uses the same addresses: who calls it here calls this server.
    """
    found = listening()
    own = {reachable_at(server) for server in found if server.boot == boot}
    return [each for each in found if each.boot != boot and reachable_at(each) not in own]


def expiry(boot: uuid.UUID) -> datetime | None:
    """Return when the lease of this start will be over; None where it is, or was given up."""
    return _listening().filter(boot=boot).values_list("expires_at", flat=True).first()


def reachable_at(server: Servers) -> Place | None:
    """Return where a server can be reached from here; None where that cannot be.

    It may listen at a loopback address of another host, or not at all.
    """
    is_of_this_host = server.host == this_host()
    if server.port == 0 or (_is_loopback(server.address) and not is_of_this_host):
        return None
    if server.address in _EVERYWHERE:
        return Place("localhost" if is_of_this_host else server.hostname, server.port)
    return Place(server.address, server.port)


def _listening() -> QuerySet[Servers]:
    return _servers().filter(expires_at__gte=Now()).exclude(port=0).order_by("pk")


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def silent_here() -> list[Servers]:
    """Return the servers of this host that listen nowhere, and whose process is gone.

    Where processes are told apart by other numbers than here, one may be among them that lives.
    """
    return [server for server in _servers().filter(host=this_host(), port=0) if _is_gone(server)]


def _is_gone(server: Servers) -> bool:
    try:
        os.kill(server.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def expired(server_id: int) -> list[Servers]:
    """Return the other servers whose lease is over."""
    return list(_servers().filter(expires_at__lt=Now()).exclude(pk=server_id))


def _shown(address: str) -> str:
    """Return the address to enter for a server that listens at this one."""
    family = _EVERYWHERE.get(address)
    return (family and address_towards(queue_database(), family)) or address


def _servers() -> QuerySet[Servers]:
    return Servers.objects.using(queue_database())
