"""The link between a server and its database is dead, without a word: packets get lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from leek.api import push_task_to_queue
from leek.models import Servers
from tests.faults.databases import NAME, Server
from tests.faults.hosts.conftest import StartOn
from tests.faults.hosts.host import Host
from tests.faults.hosts.network import Network
from tests.site import tasks
from tests.site.models import Runs
from tests.support import LeekServer, wait_until

pytestmark = pytest.mark.logs_errors

LEASE = "4"  # seconds
SLOW = "6000"  # milliseconds, which a site may let pass before it gives up a link


@pytest.fixture
def base(network: Network, database: Server) -> Host:
    """Return the host of the database."""
    assert database.host
    return database.host


@pytest.fixture
def start(start_on: StartOn) -> Callable[..., LeekServer]:
    """Return a function that starts a leek_server with a short lease on a host."""

    def start(host: Host, *arguments: str, wait: bool = True, **extra: str) -> LeekServer:
        return start_on(host, "-v2", *arguments, wait=wait, LEEK_LEASE=LEASE, **extra)

    return start


def begun(gate: Path) -> None:
    """Wait until the task at this gate runs."""
    wait_until(Path(f"{gate}.begun").exists, "the start of the task")


def has_noticed(server: LeekServer, part: str) -> None:
    """Wait until the database has failed a part of a server."""
    wait_until(lambda: f"The database failed leek's {part}" in server.log, f"the {part}'s failure")


@contextmanager
def locked_tasks(database: Server) -> Iterator[None]:
    """Let nobody claim or settle tasks."""
    with database.connect_as_admin(NAME) as other, other.cursor() as cursor:
        if other.vendor == "postgresql":
            other.set_autocommit(False)
            cursor.execute("LOCK TABLE leek_queuedtasks IN SHARE MODE")
        else:
            cursor.execute("LOCK TABLES leek_queuedtasks READ")
        yield


def waiting_of(host: Host, database: Server) -> int:
    """Return how many statements from a host wait for a lock."""
    sql = {
        "postgresql": "SELECT count(*) FROM pg_stat_activity"
        f" WHERE wait_event_type = 'Lock' AND client_addr = '{host.address}'",
        "mysql": "SELECT count(*) FROM information_schema.processlist"
        f" WHERE state LIKE 'Waiting for table%' AND host LIKE '{host.address}:%'",
    }
    with database.connect_as_admin() as admin, admin.cursor() as cursor:
        cursor.execute(sql[connection.vendor])
        return int(cursor.fetchone()[0])


def test_a_server_that_is_cut_off_notices_and_goes_on_when_the_link_is_healed(
    network: Network, base: Host, start: Callable[..., LeekServer], tmp_path: Path
) -> None:
    one, two = network.add("one"), network.add("two")
    cut_off = start(one)
    gate = tmp_path / "gate"
    row = push_task_to_queue(tasks.wait_for, str(gate))
    begun(gate)
    sibling = start(two)
    with network.cut(base, one):
        wait_until(lambda: f"Task {row.pk} " not in cut_off.log and "is dead" in sibling.log)
        for part in ("dispatcher", "heartbeat"):
            has_noticed(cut_off, part)
        gate.touch()
        row.wait(60)
    wait_until(lambda: "its outcome is dropped" in cut_off.log, "the refusal")
    wait_until(lambda: Servers.objects.count() == 2, "the new lease")
    row.refresh_from_db()
    assert (row.tries, row.crashes) == (1, 0)
    sibling.terminate()
    push_task_to_queue(tasks.record, "healed").wait(60)
    assert Runs.objects.get().tag == "healed"


def test_what_was_cut_off_amid_a_commit_and_a_claim_holds_up_nobody(
    network: Network,
    base: Host,
    database: Server,
    start: Callable[..., LeekServer],
    tmp_path: Path,
) -> None:
    one, two = network.add("one"), network.add("two")
    cut_off = start(one, "--workers", "1")
    gate = tmp_path / "gate"
    settled = push_task_to_queue(tasks.wait_for, str(gate))
    begun(gate)
    claimed = push_task_to_queue(tasks.record, "claimed")
    with locked_tasks(database):
        gate.touch()
        wait_until(lambda: waiting_of(one, database) == 2, "commit and claim")
        trouble = network.cut(base, one)
    with trouble:
        sibling = start(two)
        settled.wait(60)
        claimed.wait(60)
        assert "is dead" in sibling.log
    wait_until(lambda: "its outcome is dropped" in cut_off.log, "the refusal")
    for row in (settled, claimed):
        row.refresh_from_db()
        assert (row.tries, row.crashes) == (1, 0)
    assert Runs.objects.count() == 1


@pytest.mark.parametrize("where", [[], ["--isolate"]])
def test_a_task_notices_that_the_link_of_its_connection_is_dead(
    network: Network,
    base: Host,
    start: Callable[..., LeekServer],
    tmp_path: Path,
    where: list[str],
) -> None:
    one = network.add("one")
    server = start(one, *where)
    push_task_to_queue(tasks.record, "before").wait(60)
    gate = tmp_path / "gate"
    row = push_task_to_queue(tasks.wait_for, str(gate), "ran")
    begun(gate)
    with network.cut(base, one):
        gate.touch()
        wait_until(lambda: f"Task {row.pk} tests.site.tasks.wait_for failed" in server.log)
    row.wait(60)
    assert sorted(Runs.objects.values_list("tag", flat=True)) == ["before", "ran"]


def test_a_server_that_is_cut_off_stops_by_its_deadline(
    network: Network, base: Host, start: Callable[..., LeekServer], tmp_path: Path
) -> None:
    one = network.add("one")
    server = start(one, "--shutdown-timeout", "0.5")
    gate = tmp_path / "gate"
    row = push_task_to_queue(tasks.wait_for, str(gate))
    begun(gate)
    with network.cut(base, one):
        assert server.terminate() == 0
    assert "given back when its lease is over" in server.log
    gate.touch()
    start(network.add("two"))
    row.wait(60)
    assert row.tries == 1


def test_a_server_that_is_started_while_it_is_cut_off_gets_going_when_the_link_is_healed(
    network: Network, base: Host, start: Callable[..., LeekServer]
) -> None:
    one = network.add("one")
    with network.cut(base, one):
        server = start(one, wait=False)
        wait_until(lambda: server.log.count("failed leek's registration") >= 2, "two tries")
    server.wait_until_ready()
    push_task_to_queue(tasks.noop).wait(60)


def test_a_server_finds_the_database_at_another_address_when_its_host_has_died(
    network: Network, base: Host, database: Server, start: Callable[..., Any], tmp_path: Path
) -> None:
    one, other = network.add("one"), network.add("other")
    one.know({"primary": base.address})
    url = database.url.replace(base.address, "primary")
    server = start(one, "--workers", "2", DATABASE_URL=url)
    gate = tmp_path / "gate"
    row = push_task_to_queue(tasks.wait_for, str(gate))
    begun(gate)
    push_task_to_queue(tasks.noop).wait(60)  # then the claim before it is on PostgreSQL's disk, too
    with network.cut(base, one):
        connection.close()
        database.crash()
        gate.touch()
        database.host = other
        database.start()
        connection.settings_dict["HOST"] = other.address
        one.know({"primary": other.address})
        row.wait(60)
        assert (row.tries, row.crashes) == (1, 0)
        push_task_to_queue(tasks.record, "moved").wait(60)
        assert server.log.count(f"Task {row.pk} tests.site.tasks.wait_for succeeded") == 1
        server.terminate()
