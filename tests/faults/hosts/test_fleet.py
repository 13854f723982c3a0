"""Servers on several hosts that share one database."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from django.db import connection

from leek.api import push_many, push_task_to_queue
from leek.models import QueuedTasks, Servers, State
from tests.faults.hosts.conftest import StartOn
from tests.faults.hosts.forwarded import PORT, Fleet
from tests.faults.hosts.host import Host
from tests.faults.hosts.network import Network
from tests.site import tasks
from tests.site.models import Runs
from tests.support import STORES_ALL, wait_for_count, wait_until

pytestmark = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="hosts cannot share a file of SQLite"
)


def test_what_is_pushed_to_a_busy_server_starts_on_another_host_without_a_poll(
    network: Network, start_on: StartOn, tmp_path: Path
) -> None:
    fleet = Fleet(network, start_on, tmp_path)
    started = fleet.push(200, fleet.busy)
    assert {each.address for each in started} == {fleet.idle.address}
    fleet.let_go()


@pytest.fixture
def hosts(network: Network, monkeypatch: pytest.MonkeyPatch) -> list[Host]:
    """Return three hosts; the pushes of this test send their hints to the first."""
    hosts = [network.add(name) for name in ("one", "two", "three")]
    monkeypatch.setenv("LEEK_TASKS_HOST", hosts[0].address)
    monkeypatch.setenv("LEEK_TASKS_PORT", str(PORT))
    return hosts


@contextmanager
def pushing() -> Iterator[list[str]]:
    """Push all the time from a thread of this host; yield the tags of what was pushed."""
    tags: list[str] = []
    is_over = threading.Event()

    def push() -> None:
        for number in count():
            more = [f"{number}-{each}" for each in range(5)]
            push_many([(tasks.record, (tag,), {}) for tag in more])
            tags.extend(more)
            if is_over.wait(0.02):
                connection.close()
                return

    with ThreadPoolExecutor() as threads:
        pushes = threads.submit(push)
        try:
            yield tags
        finally:
            is_over.set()
            pushes.result()


def test_a_rolling_restart_under_load_loses_nothing_and_runs_nothing_twice(
    hosts: list[Host], start_on: StartOn
) -> None:
    fleet = {host: start_on(host, **STORES_ALL) for host in hosts}
    with pushing() as tags:
        for host in hosts:
            assert fleet[host].terminate() == 0
            fleet[host] = start_on(host, **STORES_ALL)
    successful = QueuedTasks.objects.filter(state=State.SUCCESSFUL)
    wait_for_count(successful.count, len(tags), "successes")
    assert Counter(Runs.objects.values_list("tag", flat=True)) == Counter(tags)
    assert Servers.objects.count() == len(hosts)


def test_what_a_host_had_that_is_gone_for_good_is_run_by_one_that_joins(
    network: Network, hosts: list[Host], start_on: StartOn, tmp_path: Path
) -> None:
    gone, joining, _ = hosts
    lost = start_on(gone, "--workers", "1", LEEK_LEASE="1.5")
    gate = tmp_path / "gate"
    running = push_task_to_queue(tasks.wait_for, str(gate), "ran")
    wait_until(Path(f"{gate}.begun").exists, "the run")
    waiting = push_many([(tasks.record, (str(number),), {}) for number in range(10)])
    network.cut(gone, network.hosts.values())
    lost.kill()
    gate.touch()
    start_on(joining, LEEK_LEASE="1.5")
    for row in (running, *waiting):
        row.wait(60)
    assert Runs.objects.count() == 11
    assert [server.address for server in Servers.objects.all()] == [joining.address]
