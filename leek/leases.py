"""The leases of servers: who is alive, by the database's clock."""

import os
import socket
import uuid
from pathlib import Path

from django.db.models import QuerySet

from leek.database import Now, after, has_table
from leek.models import Servers, queue_database
from leek.queues import Queues

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NETWORK = Path("/proc/self/ns/net")


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
    to its first registration. It keeps one row.
    """
    if boot:
        _servers().filter(boot=boot).delete()
    server = Servers(
        boot=boot or uuid.uuid4(),
        host=this_host(),
        hostname=socket.gethostname(),
        address=address,
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
    """Return the servers that must be dead because `server` has bound their address and port."""
    return list(
        _servers()
        .filter(host=server.host, address=server.address, port=server.port)
        .exclude(pk=server.pk)
    )


def expired(server_id: int) -> list[Servers]:
    """Return the other servers whose lease is over."""
    return list(_servers().filter(expires_at__lt=Now()).exclude(pk=server_id))


def _servers() -> QuerySet[Servers]:
    return Servers.objects.using(queue_database())
