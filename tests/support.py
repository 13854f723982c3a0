"""Real servers in processes of their own, waiting for conditions, and finished tasks."""

import atexit
import itertools
import os
import re
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime
from functools import cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from django.core.management import call_command
from django.db import OperationalError, connection, transaction
from django.utils import timezone

if TYPE_CHECKING:
    from leek.models import QueuedTasks

ROOT = Path(__file__).resolve().parent.parent
LEEK_SERVER = (sys.executable, "-m", "django", "leek_server")
GIVE_UP_AFTER = 60.0  # seconds: a guard against hanging, never an expectation
# At its deadline a server leaves to the end of its lease what it cannot store and give back in half
# a second. This is for tests that look at what it has stored:
STORES_ALL = {"TESTS_LAST_MOMENT": str(GIVE_UP_AFTER)}
# Each database has its own, and each process that runs tests a block of them, so that they may run
# beside each other. All are below those that systems give to whoever asks for any port.
PORTS = {
    "sqlite": range(20_000, 23_000),
    "postgresql": range(23_000, 26_000),
    "mysql": range(26_000, 29_000),
}
OTHER_PORTS = range(29_000, 32_000)  # for programs that know no database
BLOCK = 200  # ports
LOGGED_ERROR = re.compile(
    r"^\S+ \S+ (?:ERROR|CRITICAL) .*|.*(?:Traceback|Exception in thread|Exception ignored).*",
    re.MULTILINE,
)

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T | None], what: str = "the condition", *, pause: float = 0.005
) -> T:
    """Wait for a condition and return what it returned; fail when it does not come true at all.

    `pause` is how many seconds pass between two looks at it.
    """
    deadline = time.monotonic() + GIVE_UP_AFTER
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"gave up waiting for {what}")
        time.sleep(pause)
    return answer


def wait_for_count(count: Callable[[], int], number: int, what: str) -> None:
    """Wait until there are so many, as long as there are ever more of them."""
    found = -1

    def are_more() -> bool:
        nonlocal found
        before, found = found, count()
        return found > before

    while found < number:
        wait_until(are_more, f"more than {found} {what} of {number}")


def wait_for_connections(number: int) -> None:
    """Wait until a database server has so many connections to the test's database, and this one."""
    sql = {
        "postgresql": "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        "mysql": "SELECT count(*) FROM information_schema.processlist"
        " WHERE db = database() AND id <> connection_id()",
    }
    found = None

    def is_so() -> bool:
        nonlocal found
        with connection.cursor() as cursor:
            cursor.execute(sql[connection.vendor])
            (found,) = cursor.fetchone()
        return bool(found == number)

    try:
        wait_until(is_so)
    except AssertionError:
        raise AssertionError(f"there are {found} connections, not {number}") from None


def whole_lines(file: Path) -> list[str]:
    """Return the lines of a file, if it is there, but for one that somebody is still writing."""
    return file.read_text().split("\n")[:-1] if file.exists() else []


def is_gone(process: int) -> bool:
    """Tell whether a process has ended, be it that its parent has not asked for its exit code."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def free_port() -> int:
    """Return a port that nobody listens at, and that nobody gets who asks for just any port.

    It was not returned before for long, because one may be kept for who will listen there later.
    """
    for port in _ports(connection.vendor):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("unreachable")


@cache
def _ports(vendor: str) -> Iterator[int]:
    """Return ports of a block that is this process's own as long as it listens at the first."""
    ports = PORTS.get(vendor, OTHER_PORTS)
    for start in range(0, len(ports), BLOCK):
        first, *others = ports[start : start + BLOCK]
        with suppress(OSError):
            atexit.register(socket.create_server(("127.0.0.1", first)).close)
            return itertools.cycle(secrets.SystemRandom().sample(others, len(others)))
    raise AssertionError(f"other processes have all ports from {ports[0]} to {ports[-1]}")


@contextmanager
def black_hole(port: int) -> Iterator[None]:
    """Have who connects to a port wait until his time is up, as where packets are dropped."""
    with socket.create_server(("127.0.0.1", port), backlog=0), ExitStack() as stack:
        with suppress(TimeoutError):
            while True:  # until nobody gets through any more
                stack.enter_context(socket.create_connection(("127.0.0.1", port), 0.2))
        yield


def environment(**extra: str) -> dict[str, str]:
    """Return the environment of a process that works on the test database.

    It has the temporary directory of the test, where a server finds its predecessor's notes.
    """
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "PYTHONUNBUFFERED": "1",
        "TESTS_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        **extra,
    }


def python(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own; if it does not end, fail with what it has said."""
    try:
        return subprocess.run(
            [sys.executable, *arguments],
            env=environment(**extra),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=2 * GIVE_UP_AFTER,  # a demo gives up by itself, and says why
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"{error}: {error.stdout!r} {error.stderr!r}") from None


def manage(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a management command in a process of its own."""
    return python("-m", "django", *arguments, **extra)


def run_at(settings: str, function: Callable[[], None], **extra: str) -> None:
    """Run a function in a process whose site has these settings; fail if it raises."""
    module, name = function.__module__, function.__qualname__
    code = f"import django; django.setup(); import {module}; {module}.{name}()"
    answer = python("-c", code, DJANGO_SETTINGS_MODULE=settings, **extra)
    assert answer.returncode == 0, answer.stderr


def run(*arguments: str) -> str:
    """Run a management command in this process, and return what it printed."""
    printed = StringIO()
    call_command(*arguments, stdout=printed, stderr=StringIO())
    return printed.getvalue()


def finish(
    rows: "Iterable[QueuedTasks]", error: str = "", *, ended: datetime | None = None
) -> list[int]:
    """Finish these pushed tasks, all alike, and no others; return their ids in order.

    They succeed, or with the type of an error they fail for good; at the time `ended`, or now.
    """
    # Imported here, because the benchmarks import this module before Django is set up.
    from leek import leases, lifecycle
    from leek.outcome import Claimed, ErrorReport, Failure, Success

    when = ended or timezone.now()
    wanted = {row.pk for row in rows}
    server = leases.register(address="finish", port=1, workers=1, queues=None, seconds=30)
    claimed: list[Claimed] = []
    numbers = itertools.count(1)

    def all_are_claimed() -> bool:  # a server that looks for other tasks may lock these meanwhile
        taken = lifecycle.claim(server.pk, next(numbers), 10_000, None)
        claimed.extend(task for task in taken if task.id in wanted)
        return len(claimed) == len(wanted)

    wait_until(all_are_claimed, "the tasks to be ready")
    lifecycle.settle(
        [
            Failure(task, when, when, ErrorReport(error, "as asked", "Traceback"))
            if error
            else Success(task, when, when, None)
            for task in claimed
        ]
    )
    lifecycle.release_all(server.pk)
    leases.resign(server.pk)
    return sorted(wanted)


def _can_write() -> bool:
    """Tell whether nobody holds a lock on rows of the queue."""
    if connection.vendor == "sqlite":
        database = sqlite3.connect(
            connection.settings_dict["NAME"], timeout=0.2, isolation_level=None
        )
        with closing(database), suppress(sqlite3.OperationalError):
            database.execute("BEGIN EXCLUSIVE")  # who reads lets others begin, but not commit
            return True
        return False
    from leek.models import QueuedTasks, Schedules, Servers

    try:
        with transaction.atomic():
            for model in (Servers, QueuedTasks, Schedules):
                list(model.objects.select_for_update(nowait=True).values_list("pk"))
    except OperationalError:
        return False
    return True


class LeekServer:
    """A `leek_server` in a process of its own; its log is at `log`.

    With a prefix from `tests.faults.hosts` before its command it runs on another host.
    """

    def __init__(
        self,
        port: int,
        log: Path,
        *arguments: str,
        prefix: Sequence[str] = (),
        **extra: str,
    ) -> None:
        self.port = port
        self._log = log
        self._stream = log.open("a")
        self.process = subprocess.Popen(
            [*prefix, *LEEK_SERVER, "--port", str(port), *arguments],
            env=environment(LEEK_TASKS_PORT=str(port), **extra),
            cwd=ROOT,
            stdout=self._stream,
            stderr=subprocess.STDOUT,
        )

    @property
    def log(self) -> str:
        """What the server has printed and logged, also before a restart with the same file."""
        return self._log.read_text()

    @property
    def errors(self) -> list[str]:
        """The lines of the log that tell of an error."""
        return LOGGED_ERROR.findall(self.log)

    def wait_until_ready(self) -> "LeekServer":
        """Wait for the line that says that tasks are run."""
        wait_until(lambda: "is ready at" in self.log or self.ended, "leek_server")
        if self.ended:
            raise AssertionError(f"leek_server ended: {self.log}")
        return self

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def freeze(self) -> None:
        """Stop it by SIGSTOP, at a moment when it holds no lock in the database."""
        while True:
            self.process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)  # until all threads have stopped
            if _can_write():
                return
            self.process.send_signal(signal.SIGCONT)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.kill()
        self.wait()

    def terminate(self) -> int:
        """End it by SIGTERM, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        code = self.process.wait(GIVE_UP_AFTER)
        self._stream.close()
        return code
