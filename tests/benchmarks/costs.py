"""What the database has to do: for a claim, a settlement, a push, and a server that is idle.

Times are the least of several: what else the machine does only adds to them.
"""

import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.db import connection, transaction
from django.utils import timezone

from leek import agenda, leases, lifecycle
from leek.api import push_many, push_task_to_queue
from leek.connections import close_connections
from leek.models import Servers
from leek.outcome import Claimed, Success
from leek.tally import tallies_of
from tests.benchmarks.database_time import Stopwatch, commits_per_second, least, milliseconds
from tests.benchmarks.site import await_all, clear, running_server
from tests.benchmarks.sizes import Sizes
from tests.site.tasks import noop

BATCHES = (1, 10, 100, 1000)  # tasks in one claim, and outcomes in one settlement
RATES = (10, 100)  # pushes a second
SERVERS = (1, 100)  # rows in the table of servers
NAMES = (1, 10)  # of tasks that are counted
COMMITTERS = 8  # threads that commit at once
SKIPPED, SKIPS = 1000, 10  # rows that a claim passes over, and how often


def costs(sizes: Sizes) -> dict[str, float]:
    """Return how long the database takes for what servers ask of it."""
    return {
        **_of_batches(sizes.repeats),
        **_of_python(sizes.repeats),
        **_of_skipping(),
        **_of_idling(sizes.repeats),
        **_of_commits(sizes.repeats),
        **_per_task(sizes.cost_seconds),
    }


def _of_batches(repeats: int) -> dict[str, float]:
    """Return the milliseconds that a push, a claim and a settlement of so many tasks take."""
    server, numbers = _register(1), itertools.count(1)
    figures: dict[str, float] = {}
    for size in BATCHES:
        found: dict[str, list[float]] = {"push": [], "claim": [], "settle": []}
        for _ in range(1 + repeats):
            claimed: list[Claimed] = []
            found["push"].append(milliseconds(lambda: push_many([(noop, (), {})] * size)))  # noqa: B023
            found["claim"].append(
                milliseconds(lambda: claimed.extend(_claim(server, next(numbers), size)))  # noqa: B023
            )
            outcomes = [_success(task) for task in claimed]
            found["settle"].append(milliseconds(lambda: lifecycle.settle(outcomes)))  # noqa: B023
        figures |= {f"cost_{what}_{size}": min(times[1:]) for what, times in found.items()}
    return figures


def _of_python(repeats: int) -> dict[str, float]:
    """Return the milliseconds of Python for a claim or a settlement, beside the database."""
    server, times = _register(2), []
    for number in range(1, 1 + repeats):
        push_task_to_queue(noop)
        began, stopwatch = time.perf_counter(), Stopwatch()
        with stopwatch.running():
            lifecycle.settle([_success(task) for task in _claim(server, number, 1)])
        times.append(time.perf_counter() - began - stopwatch.seconds)
    return {"cost_python": 1000 * min(times) / 2}


def _of_skipping() -> dict[str, float]:
    """Return the milliseconds that a claim takes for the rows which another one is claiming."""
    if not connection.features.has_select_for_update_skip_locked:
        return {"cost_skipped": 0.0}
    server = _register(3)
    push_many([(noop, (), {})] * (SKIPPED + 2 * SKIPS))
    alone = min(_timed_claim(server, number) for number in range(SKIPS))
    with ThreadPoolExecutor(1) as other, transaction.atomic():
        lifecycle.claim(server.pk, SKIPS, SKIPPED, None)
        beside = min(
            other.submit(_timed_claim, server, SKIPS + number).result()
            for number in range(1, 1 + SKIPS)
        )
        other.submit(close_connections).result()
    return {"cost_skipped": max(beside - alone, 0.0)}


def _timed_claim(server: Servers, number: int) -> float:
    return milliseconds(lambda: _claim(server, number, 1))


def _register(number: int) -> Servers:
    return leases.register(address=f"costs-{number}", port=1, workers=1, queues=None, seconds=3600)


def _claim(server: Servers, number: int, limit: int) -> list[Claimed]:
    return lifecycle.claim(server.pk, number, limit, None)


def _success(claimed: Claimed) -> Success:
    now = timezone.now()
    return Success(claimed, now, now, None)


def _of_idling(repeats: int) -> dict[str, float]:
    """Return the milliseconds for what each server does now and then, be it alone or not."""
    clear()
    servers: list[Servers] = []
    figures: dict[str, float] = {}
    for number in SERVERS:
        servers += [_register(len(servers)) for _ in range(number - len(servers))]
        mine = servers[0].pk
        figures[f"cost_look_{number}"] = least(lambda: agenda.look(mine, None), repeats)  # noqa: B023
        figures[f"cost_beat_{number}"] = least(lambda: leases.renew(mine, 3600), repeats)  # noqa: B023
    for number in NAMES:
        tallies = tallies_of(map(_success, _of_names(number)))
        figures[f"cost_tally_{number}"] = least(lambda: lifecycle.add_tallies(tallies), repeats)  # noqa: B023
    return figures


def _of_names(number: int) -> Iterator[Claimed]:
    now = timezone.now()
    for task in range(number):
        yield Claimed(task, f"task {task}", "", 0, 0, 0, None, False, 0.0, now, 1, 1)


def _of_commits(repeats: int) -> dict[str, float]:
    """Return the milliseconds of a commit, and how many a second there are of several at once."""
    clear()
    servers = [_register(number) for number in range(COMMITTERS)]
    table = connection.ops.quote_name(Servers._meta.db_table)

    def commit(at: int) -> None:
        with connection.cursor() as cursor:  # Django's ORM would take longer than the database
            cursor.execute(f"UPDATE {table} SET pid = pid + 1 WHERE id = %s", [servers[at].pk])

    return {
        "cost_commit": least(lambda: commit(0), 10 * repeats),
        "cost_commits": commits_per_second(COMMITTERS, repeats, commit),
    }


@dataclass
class Counted:
    """What a server has asked of the database."""

    statements: int = 0
    commits: int = 0


@contextmanager
def _counting_server() -> Iterator[tuple[Path, Path]]:
    """Run a server whose statements and commits are counted: each is a byte of one of the files."""
    with tempfile.TemporaryDirectory(prefix="leek-costs-") as folder:
        statements, commits = Path(folder, "statements"), Path(folder, "commits")
        with running_server(
            DJANGO_SETTINGS_MODULE="tests.benchmarks.counted_settings",
            TESTS_STATEMENTS=os.fspath(statements),
            TESTS_COMMITS=os.fspath(commits),
        ):
            yield statements, commits


def _per_task(seconds: float) -> dict[str, float]:
    """Return the statements and commits per task, at several rates, and of a backlog."""
    clear()
    figures: dict[str, float] = {}
    with _counting_server() as files:
        push_task_to_queue(noop).wait(60)
        for rate in RATES:
            before = _sizes(files)
            number = _push_at(rate, seconds)
            await_all()
            figures |= _shares(f"at_{rate}", number, before, _sizes(files))
        before = _sizes(files)
        number = len(push_many([(noop, (), {})] * max(round(5000 * seconds), 1)))
        await_all()
        figures |= _shares("backlog", number, before, _sizes(files))
    return figures


def _push_at(rate: int, seconds: float) -> int:
    number, due = max(round(rate * seconds), 1), time.monotonic()
    for _ in range(number):
        time.sleep(max(due - time.monotonic(), 0))
        push_task_to_queue(noop)
        due += 1 / rate
    return number


def _sizes(files: tuple[Path, Path]) -> Counted:
    return Counted(*(file.stat().st_size for file in files))


def _shares(load: str, tasks: int, before: Counted, after: Counted) -> dict[str, float]:
    return {
        f"cost_statements_{load}": (after.statements - before.statements) / tasks,
        f"cost_commits_{load}": (after.commits - before.commits) / tasks,
    }
