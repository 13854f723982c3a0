"""Tasks whose functions say how they are to be run."""

import fcntl
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.core.mail import send_mail
from django.db import DatabaseError, IntegrityError, connection
from django.db.models import F

from leek.api import GiveUp, Retry, policy, push_task_to_queue
from tests.site.models import Runs
from tests.site.tasks import fail_until, record, wait_for, wait_slowly


class Refused(Exception):
    """What nothing helps against."""


def note(file: str, *words: object) -> None:
    """Add a line to a file, whoever else does the same."""
    with Path(file).open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.write(" ".join(map(str, words)) + "\n")


def at_once(attempt: int) -> float:
    """Return how long to wait after a try: not at all."""
    return 0.0


def mistake(attempt: int) -> float:
    """Fail to say how long to wait."""
    raise KeyError(attempt)


@policy(max_retries=5, retry_delay=at_once)
def stubborn(marker: str, tries: int) -> int:
    """Fail until this was tried so many times."""
    return fail_until(marker, tries)


@policy(max_retries=2, retry_delay=0, queue="mail", priority=7)
def impatient(marker: str) -> int:
    """Fail for ever, but not for long."""
    return fail_until(marker, 1000)


@policy(retry_delay=mistake)
def confused() -> None:
    """Fail, and fail to say what next."""
    raise ValueError("as asked")


@policy(max_retries=5, retry_delay=0, retry_on=[OSError], give_up_on=Refused)
def particular(name: str) -> None:
    """Raise an error of some kind."""
    raise {"os": FileNotFoundError, "value": ValueError, "refused": Refused}[name](name)


def ask_again(marker: str, after: float) -> int:
    """Ask for another try, twice."""
    try:
        return fail_until(marker, 3)
    except ValueError as error:
        raise Retry("not yet", after=after) from error


def give_up() -> None:
    """Fail for good."""
    raise GiveUp("no such user")


@policy(timeout=0.2, max_retries=1)
def hurried() -> None:
    """Run longer than the policy allows."""
    while True:
        time.sleep(0.001)


@policy(timeout=0.2, max_retries=1)
def stuck() -> None:
    """Run longer than the policy allows, where Python cannot interrupt it."""
    time.sleep(10_000)


# Atomic


@policy(atomic=True)
def count(name: str) -> str:
    """Add one to a number that the database holds."""
    Runs.objects.filter(tag=name).update(process=F("process") + 1)
    return name


@policy(atomic=True, max_retries=2, retry_delay=0)
def write_and_fail(tag: str) -> None:
    """Write a row, and fail."""
    record(tag)
    raise ValueError("as asked")


def write_and_raise(tag: str) -> None:
    """Write a row, and fail."""
    record(tag)
    raise ValueError("as asked")


@policy(atomic=True)
def write_and_wait(tag: str, gate: str) -> None:
    """Write a row, then wait for a file."""
    record(tag)
    wait_for(gate)


@policy(atomic=True)
async def write_slowly_and_wait(tag: str, gate: str) -> None:
    """Do as `write_and_wait`, asynchronously."""
    await Runs.objects.acreate(tag=tag, process=os.getpid())
    await wait_slowly(gate)


@policy(atomic=True)
def write_and_die(tag: str, marker: str) -> None:
    """Write a row, and die the first time."""
    record(tag)
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), 9)


@policy(atomic=True, max_retries=1)
def break_the_transaction() -> None:
    """Go on after an error of the database, as if nothing had been."""
    Group.objects.create(name="twice")
    with suppress(IntegrityError):
        Group.objects.create(name="twice")


@policy(atomic=True, max_retries=1)
def break_the_transaction_by_sql() -> None:
    """Do so with an error that Django does not know of."""
    with suppress(DatabaseError), connection.cursor() as cursor:
        cursor.execute("SELECT nothing")


@policy(atomic=True)
def push_and_fail(tag: str) -> None:
    """Push a task in a transaction that is undone."""
    push_task_to_queue(record, tag)
    raise GiveUp


# Limits and services


def _stay(log: str, name: object, seconds: float) -> None:
    note(log, name, "begins", time.time())
    time.sleep(seconds)
    note(log, name, "ends", time.time())


@policy(limit=2)
def few_at_a_time(log: str, seconds: float) -> None:
    """Run for a while, and note when."""
    _stay(log, "few", seconds)


@policy(limit=2)
def two_at_a_time(log: str, seconds: float) -> None:
    """Do so, but the first one until a second one runs beside it."""
    note(log, "few", "begins", time.time())
    while Path(log).read_text().count("begins") < 2:
        time.sleep(0.005)
    time.sleep(seconds)
    note(log, "few", "ends", time.time())


@policy(limit=1, key=lambda log, user_id, seconds: user_id)
def one_for_each_user(log: str, user_id: int, seconds: float) -> None:
    """Run for a while, and note when."""
    _stay(log, user_id, seconds)


@policy(limit=1, key=lambda log: 1 / 0)
def badly_counted(log: str) -> None:
    """Never run."""


@policy(rate="10/s", key="mailgun")
def now_and_then(log: str) -> None:
    """Note the time."""
    note(log, "starts", time.time())


@policy(limit=1)
async def one_slow_at_a_time(log: str, number: int) -> None:
    """Note that it runs, asynchronously."""
    note(log, number, "begins", time.time())
    note(log, number, "ends", time.time())


@policy(limit=1)
def die_within_a_limit(marker: str) -> int:
    """Die the first time."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), 9)
    return 1


@policy(requires=["smtp"])
def mail(to: str) -> None:
    """Send a mail."""
    send_mail("Hello", f"to {to}", "shop@example.com", [to])


def gate_is_open() -> bool:
    """Tell whether the file is there that LEEK_TEST_GATE names."""
    return Path(os.environ["LEEK_TEST_GATE"]).exists()


@policy(requires=gate_is_open)
def behind_the_gate(value: Any) -> Any:
    """Return a value."""
    return value


def connect(port: int) -> str:
    """Talk to a server."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        return connection.recv(100).decode()


def fail_beside(port: int) -> None:
    """Fail for a reason that has nothing to do with a server."""
    raise ValueError("as asked")


@policy(atomic=True)
def wait_and_write(gate: str, tag: str) -> None:
    """Wait for a file, then write a row."""
    wait_for(gate)
    record(tag)
