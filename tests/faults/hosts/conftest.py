"""A network for each test, with the test on one host of it and the database on another."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.faults import databases
from tests.faults.databases import Server
from tests.faults.hosts.host import Host
from tests.faults.hosts.network import Network, missing
from tests.support import LeekServer

PORT = 8002  # of each leek_server: every host has all ports


@pytest.fixture(scope="session")
def can_make_networks() -> None:
    """Leave tests out where no network can be made, or fail if TESTS_HOSTS is "required"."""
    wanted = os.environ.get("TESTS_HOSTS")
    if wanted == "none":
        pytest.skip("TESTS_HOSTS is none")
    if lacking := " and no ".join(missing()):
        (pytest.fail if wanted == "required" else pytest.skip)(f"no {lacking} on this machine")


@pytest.fixture
def network(can_make_networks: None) -> Iterator[Network]:
    """Return a network of this test's own."""
    with Network() as network:
        yield network


@pytest.fixture
def database(
    network: Network, migrated_database: Path, transactional_db: None, tmp_path: Path
) -> Iterator[Server]:
    """Return a database on a host of its own. The test is on another, and pushes from there."""
    if connection.vendor == "sqlite":
        pytest.skip("hosts cannot share a file of SQLite")
    host = network.add("database")
    connection.close()
    with (
        network.add("desk").entered(),
        databases.in_use(migrated_database, tmp_path / "database", host) as database,
    ):
        assert isinstance(database, Server)
        yield database


StartOn = Callable[..., LeekServer]


@pytest.fixture
def start_on(database: Server, servers: list[LeekServer], tmp_path: Path) -> StartOn:
    """Return a function that starts a leek_server on a host, ready to work."""

    def start(host: Host, *arguments: str, wait: bool = True, **extra: str) -> LeekServer:
        log = tmp_path / f"server-{len(servers)}-{host}.log"
        place = ("--host", host.address, *arguments)
        extra = {"TMPDIR": str(host.temporary), **extra}
        server = LeekServer(PORT, log, *place, prefix=host.prefix, **extra)
        servers.append(server)
        return server.wait_until_ready() if wait else server

    return start
