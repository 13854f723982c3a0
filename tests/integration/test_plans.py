"""What leek does all the time reads no table in full, however many finished tasks there are."""

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from leek import agenda, lifecycle, status, upkeep
from leek.admin import readonly
from leek.admin.window import TASKS
from leek.api import using
from leek.leases import register
from leek.models import FailedTasks, Gates, QueuedTasks, Servers, State, SuccessTasks
from leek.upkeep import FailedFilter
from tests.many_rows import (
    LONG_TABLES,
    add_deferred,
    add_failed,
    add_finished,
    add_ready,
    analyze,
)
from tests.site.tasks import noop

pytestmark = [pytest.mark.django_db, pytest.mark.any_version]

SUCCEEDED, FAILED, FAR_FUTURE, FLOOD = 750_000, 250_000, 100_000, 100_000
EITHER = "leek_ready(_by_queue)?"  # both are good for a claim of several queues
LIMIT = "limit:a.b"


class Access(NamedTuple):
    """How a plan reads a table: by which index, or all of it."""

    table: str
    by: str | None
    in_full: bool


@pytest.fixture(scope="module", autouse=True)
def long_tables(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Fill the tables, for all tests of this module."""
    with django_db_blocker.unblock():
        fill()
        try:
            yield
        finally:
            for model in (SuccessTasks, FailedTasks, QueuedTasks, Servers, Gates):
                model._default_manager.all()._raw_delete("default")


def fill() -> None:
    """Store a million finished tasks, many of the far future, and a few of each other state."""
    add_finished(SUCCEEDED)
    add_failed(FAILED)
    add_deferred(FAR_FUTURE)
    now = timezone.now()
    common = {"name": "a.b", "payload": "x", "run_after": now, "pushed_at": now, "owner_id": -1}
    QueuedTasks.objects.bulk_create(
        QueuedTasks(state=state, blocked_by=LIMIT if state == State.BLOCKED else None, **common)
        for state in (State.DEFERRED, State.READY, State.RUNNING, State.BLOCKED)
        for _ in range(50)
    )
    Gates.objects.create(name=LIMIT, capacity=20, used_at=now)
    analyze()


def plan(sql: str) -> list[dict[str, Any]]:
    """Return how the database would execute a statement, in its own words."""
    words = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        cursor.execute(f"{words} {sql}")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def accesses(sql: str) -> list[Access]:
    """Return how the database would read tables for a statement; some have aliases."""
    found = map(READERS[connection.vendor], plan(sql))
    return [access for access in found if access]


def of_sqlite(step: dict[str, Any]) -> Access | None:
    """Read a step such as SEARCH t USING INDEX i (a=?), or SCAN t."""
    match = re.match(r"(SCAN|SEARCH) (\w+)(?:.* INDEX (\w+))?", step["detail"])
    return match and Access(match[2], match[3], match[1] == "SCAN" and not match[3])


def of_postgresql(step: dict[str, Any]) -> Access | None:
    """Read a line such as -> Index Scan using i on t, or -> Bitmap Index Scan on i."""
    if match := re.search(r"Bitmap Index Scan on (\w+)", step["QUERY PLAN"]):
        return Access(match[1], match[1], in_full=False)
    match = re.search(r"(Seq Scan|Scan.* using (\w+)) on (\w+)", step["QUERY PLAN"])
    return match and Access(match[3], match[2], match[1] == "Seq Scan")


def of_mysql(step: dict[str, Any]) -> Access | None:
    """Read the row of a table."""
    return Access(str(step["table"]), step["key"], step["type"] == "ALL")


def scans(found: list[Access]) -> list[Access]:
    """Keep those that read a long table in full."""
    return [access for access in found if access.in_full and access.table in LONG_TABLES]


READERS = {"sqlite": of_sqlite, "postgresql": of_postgresql, "mysql": of_mysql}


def plan_of(act: Callable[[], object]) -> list[Access]:
    """Do something, and return how its statements read tables."""
    with CaptureQueriesContext(connection) as queries:
        act()
    statements = [query["sql"] for query in queries]
    explained = [sql for sql in statements if re.match("SELECT|UPDATE|DELETE", sql)]
    found = [access for sql in explained for access in accesses(sql)]
    assert found, statements
    return found


def lease() -> int:
    """Return the id of a server."""
    server = register(address="x", port=1, workers=1, queues=None, seconds=30)
    return server.pk


@pytest.mark.parametrize("queues", [None, ["default", "other"]])
def test_a_claim_reads_the_index_of_ready_tasks(queues: list[str] | None) -> None:
    server = lease()
    found = plan_of(lambda: lifecycle.claim(server, 1, 10, queues))
    assert any(re.fullmatch(EITHER, access.by or "") for access in found)
    assert not scans(found)
    assert QueuedTasks.objects.filter(owner=server).count() == 10


@pytest.fixture
def flood() -> None:
    """Store many ready tasks of one queue, and a few of another behind them."""
    add_ready(FLOOD)
    using(queue="mail-a").push_many([(noop, (), {})] * 20)
    if connection.vendor == "postgresql":  # the others look into the index
        analyze()


def work_of(act: Callable[[], object]) -> int:
    """Do something, and return how many rows it reads; with SQLite, how many steps it takes."""
    if connection.vendor != "sqlite":
        before = rows_read()
        act()
        return rows_read() - before
    steps = [0]
    connection.ensure_connection()
    connection.connection.set_progress_handler(lambda: steps.append(1), 1)
    try:
        act()
    finally:
        connection.connection.set_progress_handler(None, 1)
    return sum(steps)


def rows_read() -> int:
    """Return how many rows this connection, or its transaction, has read."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT SUM(COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0))"
                " FROM pg_stat_xact_user_tables"
            )
            return int(cursor.fetchall()[0][0])
        cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
        return sum(int(number) for _, number in cursor.fetchall())


@pytest.mark.parametrize(
    ("queues", "among", "index"),
    [
        (None, None, "leek_ready"),
        (["mail-a"], None, "leek_ready_by_queue"),
        (["default", "mail-*"], ["mail-a"], "leek_ready_by_queue"),
        (["default", "mail-*"], ["default"], EITHER),
        (["default", "mail-a"], None, EITHER),
        ({"mail-*": 1, "other": 1}, ["mail-a"], "leek_ready_by_queue"),
    ],
)
def test_a_claim_beside_a_flood_of_another_queue_reads_few_rows(
    flood: None, queues: Collection[str] | None, among: list[str] | None, index: str
) -> None:
    server = lease()
    assert len(lifecycle.claim(server, 1, 10, queues, among)) == 10  # it is compiled now
    work = work_of(lambda: lifecycle.claim(server, 2, 5, queues, among))
    found = plan_of(lambda: lifecycle.claim(server, 3, 5, queues, among))
    assert QueuedTasks.objects.filter(owner=server).count() == 20
    assert any(re.fullmatch(index, access.by or "") for access in found)
    assert work < FLOOD / 10


@pytest.mark.parametrize("queues", [["mail-a"], ["mail-*"], ["none", "*-none"]])
def test_a_look_beside_a_flood_of_another_queue_reads_few_rows(
    flood: None, queues: list[str]
) -> None:
    server = lease()
    agenda.look(server, queues)
    deferred = QueuedTasks.objects.deferred().order_by()  # looked through for one of its queues
    deferred._raw_delete("default")
    assert work_of(lambda: agenda.look(server, queues)) < FLOOD / 10


def promote() -> None:
    """Make due tasks ready."""
    assert lifecycle.promote(None, 10) == 10


def look() -> None:
    """Read what there is to do, with a lease."""
    assert agenda.look(lease(), None).next_due == 0


def claim_suspect() -> None:
    """Claim the only suspect."""
    due = QueuedTasks.objects.due().values("pk")[:1]
    QueuedTasks.objects.filter(pk=due[0]["pk"]).update(suspect=True)
    assert len(lifecycle.claim_suspect(lease(), 1, None)) == 1


def find_blocked() -> None:
    """Find at which gates tasks wait."""
    assert lifecycle.blocked_at(None) == [LIMIT]


def count_at_a_limit() -> None:
    """Find out how many tasks a limit lets through."""
    assert lifecycle.openings([LIMIT])[LIMIT].tasks == 20


def unblock() -> None:
    """Let tasks go on that wait for a limit."""
    assert lifecycle.unblock(LIMIT, 20, None) == 20


def rescue() -> None:
    """Give back what a dead server had claimed; one task is charged with its end."""
    dead = register(address="x", port=1, workers=1, queues=None, seconds=30)
    dead.refresh_from_db()
    (claimed, *_) = lifecycle.claim(dead.pk, 1, 10, None)
    rescued = lifecycle.rescue(dead, {claimed.id}, 3, even_if_renewed=True)
    assert rescued == (10, [])


def find_orphans() -> None:
    """Find what is claimed by no server."""
    assert agenda.orphaned(lease()) == [-1]


def count_waiting() -> None:
    """Count what leek_status calls waiting."""
    assert status.waiting() == 100


def purge() -> None:
    """Delete a batch of successes."""
    assert next(upkeep.purge(upkeep.successes()))


def retry() -> None:
    """Push a batch of failed tasks back."""
    assert next(upkeep.retry(FailedFilter().rows()))


@pytest.mark.parametrize(
    ("act", "index"),
    [
        (look, "leek_deferred"),
        (promote, "leek_deferred"),
        (claim_suspect, "leek_deferred"),
        (find_blocked, "leek_blocked"),
        (count_at_a_limit, "leek_running|leek_deferred"),  # both begin with the state on MariaDB
        (unblock, "leek_blocked"),
        (rescue, "leek_running"),
        (find_orphans, "leek_running"),
        (count_waiting, "leek_deferred"),
        (purge, None),
        (retry, None),
    ],
)
def test_no_long_table_is_read_in_full(act: Callable[[], None], index: str | None) -> None:
    found = plan_of(act)
    assert not scans(found)
    assert index is None or any(re.fullmatch(index, access.by or "") for access in found)


@pytest.mark.parametrize("name", ["queuedtasks", "successtasks", "failedtasks"])
def test_a_list_of_the_admin_reads_its_rows_in_the_order_of_an_index(
    name: str, admin_client: Client
) -> None:
    path = reverse(f"admin:leek_{name}_changelist")
    with CaptureQueriesContext(connection) as queries:
        assert admin_client.get(f"{path}?p=3").status_code == 200
    table = connection.ops.quote_name(f"leek_{name}")
    pages = [
        sql
        for sql in (query["sql"] for query in queries)
        if f"FROM {table}" in sql and " LIMIT " in sql and "COUNT(" not in sql
    ]
    assert pages
    for sql in pages:
        assert not re.search("temp b-tree|sort|temporary", str(plan(sql)), re.IGNORECASE)


WINDOW = 3 * TASKS  # rows: where it begins, what is in it, and some


@pytest.mark.parametrize(
    ("query", "most"),
    [
        ("", 10_000),
        ("p=3", 10_000),
        ("state=ready", 10_000),
        ("state=deferred", WINDOW),  # there are many, to be sorted
        ("state=running", 10_000),
        ("state=waiting", 10_000),
        ("state=successful", 10_000),
        ("state=failed", 10_000),
        ("state=finished&p=3", 10_000),
        ("state=running&queue=none", 10_000),
        ("queue=none", WINDOW),
        ("name=none", WINDOW),
        ("exception=None", WINDOW),
        ("q=none", WINDOW),
        ("q=%C3%BCber", WINDOW),
        ("pushed_at__year=2020", WINDOW),
        ("state=waiting&name=none", WINDOW),
        ("state=deferred&queue=none", WINDOW),
        ("state=finished&queue=none", WINDOW),
        ("state=successful&name=none", WINDOW),
        ("state=failed&name=none", WINDOW),
        ("state=failed&q=none", WINDOW),
    ],
)
def test_the_list_of_tasks_reads_few_rows(
    query: str, most: int, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readonly, "COUNTED", 1_000)
    address = f"{reverse('admin:leek_queuedtasks_changelist')}?{query}"
    assert admin_client.get(address).status_code == 200
    work = work_of(lambda: admin_client.get(address))
    assert work < most * (20 if connection.vendor == "sqlite" else 1)  # steps for a row
