"""Measure how soon an idle host starts what is pushed to a busy one.

    python -m tests.faults.hosts --database postgresql

Three hosts have a leek_server with one Worker each, two of these are busy, and a fourth host pushes
tasks one after the other. The hosts are network namespaces of this machine, with one for the
database, which is a new one. It needs root.
"""

import argparse
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import django
from django.core.management import call_command
from django.db import connection

from tests.faults.databases import DATABASES, create
from tests.faults.hosts.host import Host
from tests.faults.hosts.network import Network, missing

VENDORS = [vendor for vendor in DATABASES if vendor != "sqlite"]  # hosts cannot share a file


def main() -> None:
    """Parse and measure."""
    options = parsed(sys.argv[1:])
    if lacking := missing():
        sys.exit(f"There is no {' and no '.join(lacking)}.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    measure(options.database, options.pushes)


def parsed(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.hosts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--database", choices=VENDORS, default=VENDORS[0])
    parser.add_argument("--pushes", type=int, default=200)
    return parser.parse_args(arguments)


def measure(vendor: str, pushes: int) -> None:
    """Set all up, push, print, and leave nothing behind."""
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="leek-hosts-")))
        network = ends.enter_context(Network())
        ends.enter_context(network.add("pusher").entered())
        database = create(vendor, folder / "database", network.add("database"))
        ends.callback(database.remove)
        os.environ |= {"DATABASE_URL": database.url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        django.setup()
        database.start()
        call_command("migrate", verbosity=0)
        ends.callback(connection.close)
        push(network, pushes, folder, ends)


def push(network: Network, pushes: int, folder: Path, ends: ExitStack) -> None:
    """Push to the idle server, for comparison, and to a busy one; print how soon all started."""
    from tests.faults.hosts.forwarded import PORT, Fleet, figures
    from tests.support import LeekServer

    def start(host: Host, *arguments: str, **extra: str) -> LeekServer:
        server = LeekServer(
            PORT,
            folder / f"{host}.log",
            *("--host", host.address, *arguments),
            prefix=host.prefix,
            **{"TMPDIR": str(host.temporary), **extra},
        )
        ends.callback(server.kill)
        return server.wait_until_ready()

    fleet = Fleet(network, start, folder)
    ends.callback(fleet.let_go)
    for told, host in (("the idle server", fleet.idle), ("a busy one", fleet.busy)):
        started = fleet.push(pushes, host)
        elsewhere = sum(each.address != fleet.idle.address for each in started)
        print(f"{connection.vendor}, {pushes} pushes to {told}: {figures(started)}")
        if elsewhere:
            print(f"{elsewhere} of them were not started by the idle server")


if __name__ == "__main__":
    main()
