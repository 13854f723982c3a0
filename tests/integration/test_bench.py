"""leek_bench, in processes of its own beside a site with tasks of its own."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import DatabaseError, connection

from leek.api import pause_queue, push_task_to_queue
from leek.bench.figures import Figures
from leek.bench.report import RATIOS, as_dict, as_text
from leek.bench.tables import drop_tables, our_names, our_tables
from leek.database import alone_at
from leek.models import PausedQueues, QueuedTasks, Servers, State, SuccessTasks, Tallies
from tests.site.tasks import noop
from tests.support import (
    GIVE_UP_AFTER,
    ROOT,
    environment,
    finish,
    is_gone,
    manage,
    run,
    wait_until,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("port"),
    pytest.mark.any_version,
]

SMALL = ("--tasks", "40", "--pushes", "10")
ENDLESS = ("--tasks", "1", "--pushes", "1000000")

NAMES_OF_INDEXES = [index.name for index in QueuedTasks._meta.indexes]

Benchmark = subprocess.Popen[str]


@pytest.fixture
def begin() -> Iterator[Callable[[], Benchmark]]:
    """Return a function that starts an endless benchmark, which ends with the test."""
    started: list[Benchmark] = []

    def start() -> Benchmark:
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-m", "django", "leek_bench", *ENDLESS],
            env=environment(),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        wait_until(lambda: has_pushed() or process.poll() is not None, "the benchmark's tasks")
        assert process.poll() is None, process.communicate()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=GIVE_UP_AFTER)
    if its_tables():
        wait_until(lambda: is_gone(its_server()), "the end of the server")
        with our_names():
            drop_tables(connection.alias)


def has_pushed() -> bool:
    """Tell whether a benchmark has had a task run."""
    with suppress(DatabaseError), our_names():
        return SuccessTasks.objects.exists()
    return False


def nobody_measures() -> bool:
    """Tell whether the database lets a benchmark begin."""
    with alone_at(connection.alias, "leek_bench") as is_alone:
        return is_alone


def its_server() -> int:
    """Return the process of the benchmark's own server."""
    with our_names():
        return Servers.objects.get().pid


def its_tables() -> list[str]:
    """Return what a benchmark has made in the database, or left there."""
    names = connection.introspection.table_names()
    return [name for name in names if name.startswith("leek_bench")]


def notes() -> list[Path]:
    """Return the notes that servers have left of what they ran."""
    return [*Path(environment()["TMPDIR"]).glob("leek-*/*.running")]


def test_the_figures_are_those_of_what_was_asked_for() -> None:
    done = manage("leek_bench", *SMALL, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    figures = json.loads(done.stdout)
    assert figures.pop("versions").startswith("leek ")
    assert (figures.pop("tasks"), figures.pop("pushes")) == (40, 10)
    assert set(figures) == {
        *("commit", "create", "push", "push_at_work", "bulk_create", "push_many", "drain"),
        *("latency_p50", "latency_p99"),
        *RATIOS,
    }
    assert all(value > 0 for value in figures.values()), figures
    assert figures["latency_p50"] <= figures["latency_p99"]
    assert not its_tables()
    assert not notes()


def test_the_figures_are_a_table_for_a_person() -> None:
    done = manage("leek_bench", *SMALL)
    assert (done.returncode, done.stderr) == (0, "")
    for line in ("40 tasks in bulk, 10 one by one", "of create()", "drain, one Worker"):
        assert line in done.stdout
    assert len(done.stdout.splitlines()) == 15


def test_rates_are_beside_what_they_are_compared_with() -> None:
    figures = Figures(
        versions="leek 1, SQLite 3",
        tasks=1_000,
        pushes=20,
        commit=4_000,
        create=2_000,
        push=1_800,
        push_at_work=500,
        bulk_create=20_000,
        push_many=30_000,
        drain=12_345.6,
        latency_p50=1.234,
        latency_p99=12.345,
    )
    assert as_text(figures).splitlines() == [
        "leek 1, SQLite 3",
        "1,000 tasks in bulk, 20 one by one",
        "",
        "                            per second",
        "bare commits                     4,000",
        "create(), one by one             2,000   0.50 of bare commits",
        "push, one by one                 1,800   0.90 of create()",
        "  while tasks run                  500   0.25 of create()",
        "bulk_create()                   20,000",
        "push_many()                     30,000   1.50 of bulk_create()",
        "drain, one Worker               12,346",
        "",
        "push to start, idle server          ms",
        "  half of the tasks within        1.23",
        "  99 % of the tasks within       12.35",
    ]
    assert as_dict(figures)["push_at_work_per_create"] == 0.25


def test_the_sites_tasks_are_neither_seen_nor_run() -> None:
    waiting = [push_task_to_queue(noop).pk for _ in range(3)]
    assert manage("leek_bench", *SMALL).returncode == 0
    assert list(QueuedTasks.objects.order_by("pk").values_list("pk", "state")) == [
        (task_id, State.READY) for task_id in waiting
    ]
    assert not SuccessTasks.objects.exists()
    assert not Servers.objects.exists()
    assert not Tallies.objects.exists()


def test_a_queue_that_the_site_has_paused_is_not_paused_for_it() -> None:
    pause_queue("default")
    figures = json.loads(manage("leek_bench", *SMALL, "--json").stdout)
    assert figures["drain"]
    assert PausedQueues.objects.exists()


def test_a_process_that_goes_on_is_back_at_the_sites_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TESTS_DATABASE_NAME", environment()["TESTS_DATABASE_NAME"])
    row = push_task_to_queue(noop)
    assert "drain" in run("leek_bench", *SMALL)
    finish([row])
    assert SuccessTasks.objects.get().task == row
    assert [index.name for index in QueuedTasks._meta.indexes] == NAMES_OF_INDEXES


def test_what_a_process_remembers_of_one_table_is_not_used_for_another() -> None:
    finish([push_task_to_queue(noop)])
    with our_names(), our_tables(connection.alias):
        finish([push_task_to_queue(noop)])
        assert SuccessTasks.objects.count() == 1
    finish([push_task_to_queue(noop)])
    assert SuccessTasks.objects.count() == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_nothing_is_left(
    begin: Callable[[], Benchmark], number: signal.Signals
) -> None:
    benchmark = begin()
    server = its_server()
    benchmark.send_signal(number)
    printed, errors = benchmark.communicate(timeout=GIVE_UP_AFTER)
    assert errors == "CommandError: Interrupted. Nothing of the benchmark is left.\n"
    assert (benchmark.returncode, printed) == (1, "")
    assert is_gone(server)
    assert not its_tables()
    assert not notes()


def test_the_next_run_removes_what_a_killed_one_left(begin: Callable[[], Benchmark]) -> None:
    benchmark = begin()
    server = its_server()
    benchmark.kill()
    wait_until(lambda: is_gone(server), "the end of the server")
    wait_until(nobody_measures, "the database to see the end of the benchmark")
    assert its_tables()
    assert notes()
    done = manage("leek_bench", *SMALL)
    assert (done.returncode, done.stderr) == (0, "")
    assert not its_tables()
    assert not notes()


def test_a_second_one_beside_it_is_refused(begin: Callable[[], Benchmark]) -> None:
    benchmark = begin()
    done = manage("leek_bench", *SMALL)
    expected = "Another leek_bench runs in this database. Wait until it is done."
    assert done.stderr == f"CommandError: {expected}\n"
    assert (done.returncode, done.stdout) == (1, "")
    assert benchmark.poll() is None
    assert its_tables()


def test_a_database_that_is_only_read_is_named_as_the_reason() -> None:
    done = manage("leek_bench", *SMALL, TESTS_READ_ONLY="1")
    assert done.stderr.startswith("CommandError: leek_bench cannot make tables of its own: ")
    assert done.stderr.count("\n") == 1
    assert (done.returncode, done.stdout) == (1, "")


def test_a_database_in_memory_is_named_as_the_reason() -> None:
    done = manage(
        "leek_bench", *SMALL, DATABASE_URL="sqlite://:memory:", TESTS_DATABASE_NAME=":memory:"
    )
    reason = "no other process sees this database as it is here"
    assert done.stderr == f"CommandError: leek_bench cannot start its server: {reason}.\n"
    assert done.returncode == 1


def test_it_is_of_no_use_where_nothing_is_queued() -> None:
    done = manage("leek_bench", *SMALL, LEEK_EAGER="1")
    assert done.stderr.startswith("CommandError: EAGER is on: ")
    assert done.returncode == 1
    assert its_tables() == []
