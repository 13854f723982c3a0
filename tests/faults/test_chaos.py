"""Short runs of chaos on this kind of database, and some with servers that are broken."""

import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connection

from tests.faults.chaos import tables
from tests.faults.chaos.world import Plan
from tests.faults.databases import connected
from tests.support import python

SECONDS = 9
COUNT = 200


def chaos(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command on a database of its own."""
    return python("-m", "tests.faults.chaos", "--database", connection.vendor, *arguments)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_promises_are_kept_under_faults(seed: str) -> None:
    answer = chaos("--seed", seed, "--minutes", str(SECONDS / 60), "--count", str(COUNT))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "Lost: 0; accepted late: 0; violations in all: 0" in answer.stdout
    counted = re.search(r"Counted: (\d+), by (\d+) atomic tasks", answer.stdout)
    assert counted
    assert int(counted[1]) == int(counted[2]) >= COUNT


def test_servers_without_their_fence_are_found_out() -> None:
    answer = chaos("--break", "fence")
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "  a late write was accepted: task " in answer.stdout


def test_atomic_tasks_whose_success_is_stored_apart_are_found_out() -> None:
    answer = chaos("--break", "atomic")
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert re.search(r"did not take effect once: task \d+ count-trap counted 2", answer.stdout)


@pytest.mark.any_database
@pytest.mark.django_db
def test_no_server_is_kept_frozen_that_keeps_others_from_writing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with connected(f"sqlite:///{file}") as site, closing(sqlite3.connect(file)) as server:
        assert not tables.is_locked(site)
        server.execute("BEGIN IMMEDIATE")
        assert tables.is_locked(site)
        server.execute("COMMIT")
        assert not tables.is_locked(site)


def test_what_goes_wrong_follows_from_the_seed() -> None:
    vendor = connection.vendor
    assert Plan(vendor, 3, 60).faults == Plan(vendor, 3, 60).faults
    assert Plan(vendor, 3, 60).faults != Plan(vendor, 4, 60).faults
