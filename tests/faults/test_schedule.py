"""Servers that die, freeze or lose the database: each due time has one task all the same."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import cycle

import pytest
from django.db import connection

from leek.models import QueuedTasks
from tests.conftest import StartServer
from tests.faults.databases import Database, drop_connections
from tests.faults.troubles import away
from tests.support import LeekServer, free_port, wait_until

INTERVAL = timedelta(seconds=0.3)
ENTRY = {
    "task": "tests.site.tasks.noop",
    "every": INTERVAL.total_seconds(),
    "catch_up": "all",
}
SITE = {"LEEK_SCHEDULE": json.dumps({"tick": ENTRY})}


def ticks() -> list[datetime]:
    """Return the due times for which tasks were pushed, in the order of the pushes."""
    return list(QueuedTasks.objects.order_by("pk").values_list("run_after", flat=True))


def some_more() -> None:
    """Wait until a few more tasks were pushed."""
    goal = QueuedTasks.objects.count() + 3
    wait_until(lambda: QueuedTasks.objects.count() >= goal, f"{goal} ticks")


@pytest.fixture
def three_servers(start_server: StartServer) -> Iterator[list[LeekServer]]:
    """Return servers that push the same task; then hold the due times against what they pushed."""
    servers = [start_server("-v0", port=free_port(), **SITE) for _ in range(3)]
    some_more()
    yield servers
    some_more()
    for server in servers:
        if not server.ended:
            server.kill()
    times = ticks()
    assert times == [times[0] + number * INTERVAL for number in range(len(times))]


def test_killed_servers(three_servers: list[LeekServer], start_server: StartServer) -> None:
    for number in range(3):
        three_servers[number].kill()
        some_more()
        three_servers.append(start_server("-v0", port=three_servers[number].port, **SITE))


def test_all_servers_killed_at_once(
    three_servers: list[LeekServer], start_server: StartServer
) -> None:
    for server in three_servers:
        server.kill()
    start_server("-v0", port=free_port(), **SITE)


def test_frozen_servers(three_servers: list[LeekServer]) -> None:
    for server, _ in zip(cycle(three_servers), range(6), strict=False):
        server.freeze()
        some_more()
        server.thaw()


@pytest.mark.logs_errors
def test_a_database_that_goes_away(database: Database, three_servers: list[LeekServer]) -> None:
    def all_say(text: str) -> bool:
        return all(text in server.log for server in three_servers)

    with away(database):
        wait_until(lambda: all_say("The database fails"), "the outage")
    wait_until(lambda: all_say("The database is back"), "the end of the outage")


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no connections to lose")
@pytest.mark.logs_errors
def test_lost_connections(three_servers: list[LeekServer]) -> None:
    for _ in range(5):
        drop_connections(connection, str(connection.settings_dict["NAME"]))
        some_more()
