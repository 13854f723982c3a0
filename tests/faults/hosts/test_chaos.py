"""Short runs of chaos on several hosts, and one with servers that are broken."""

import pytest
from django.db import connection

from tests.faults.chaos.schedule import LINK_FAULTS
from tests.faults.chaos.world import Plan
from tests.faults.test_chaos import chaos

SECONDS = 9

needs_hosts = pytest.mark.usefixtures("can_make_networks")
on_servers = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="hosts cannot share a file of SQLite"
)


@needs_hosts
@on_servers
def test_the_promises_are_kept_where_hosts_are_cut_off() -> None:
    answer = chaos("--hosts", "--seed", "2", "--minutes", str(SECONDS / 60), "--count", "100")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "Lost: 0; accepted late: 0; violations in all: 0" in answer.stdout


@needs_hosts
@on_servers
def test_a_server_that_was_cut_off_and_has_no_fence_is_found_out() -> None:
    answer = chaos("--hosts", "--break", "fence")
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "  a late write was accepted: task " in answer.stdout


@pytest.mark.any_database
def test_links_fail_where_there_are_hosts() -> None:
    kinds = {fault.kind for fault in Plan("postgresql", 1, 600).faults}
    on_hosts = {fault.kind for fault in Plan("postgresql", 1, 600, with_hosts=True).faults}
    assert on_hosts - kinds == LINK_FAULTS.keys()


@pytest.mark.any_database
def test_a_file_of_sqlite_is_refused_to_hosts() -> None:
    answer = chaos("--database", "sqlite", "--hosts")
    assert answer.returncode == 2
    assert "hosts cannot share a file of SQLite" in answer.stderr
