"""What the tests push."""

import asyncio
import builtins
import itertools
import logging
import os
import re
import signal
import socket
import sys
import threading
import time
import warnings
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.translation import activate, get_language

from leek.api import current_task, progress, push_task_to_queue, using
from leek.context import request_id
from leek.models import QueuedTasks
from tests.site.models import Runs

_held: list[bytes] = []
_left: list[Any] = []
_met: list[Any] = []
_links: list[Any] = []
_all_have_met = asyncio.Event()
_variable: ContextVar[str] = ContextVar("variable", default="as it was")
tenant: ContextVar[Any] = ContextVar("tenant")


def noop() -> None:
    """Do nothing."""


def echo(*args: Any, **kwargs: Any) -> Any:
    """Return the arguments."""
    return {"args": args, "kwargs": kwargs}


def add(first: int, second: int) -> int:
    """Return a sum."""
    return first + second


def record(tag: str) -> None:
    """Leave a row that tells of this run."""
    Runs.objects.create(tag=tag, process=os.getpid())


def nap_and_record(tag: str) -> None:
    """Leave a row that tells of this run, after a moment."""
    time.sleep(0.005)
    record(tag)


def push_again(key: str) -> list[Any]:
    """Push a task with a unique key, and tell which row that gave."""
    row = using(unique=key).push(push_again, key)
    return [row.pk, row.duplicate]


def race(folder: str, number: int, rounds: int) -> None:
    """Push the same keys as so many other processes, each at once; print which rows that gave."""
    for each in range(rounds):
        Path(folder, f"{each}-{os.getpid()}").touch()
        while len([*Path(folder).glob(f"{each}-*")]) < number:
            time.sleep(0.0005)
        row = using(unique=f"round {each}").push(noop)
        print(each, row.pk, row.duplicate)


def count_down(number: int) -> int:
    """Push this task again for each lower number."""
    if number:
        push_task_to_queue(count_down, number - 1)
    return number


def delete_waiting() -> None:
    """Delete all tasks that wait."""
    QueuedTasks.objects.ready().delete()


def record_and_fail(tag: str) -> None:
    """Leave a row that tells of this run, and raise ValueError."""
    record(tag)
    fail()


def insert_group_and_go_on(name: str) -> None:
    """Add a group by SQL, be it that the name is not new."""
    with suppress(IntegrityError):
        insert_group(name)


def create_group(name: str) -> None:
    """Add a group; the name must be new."""
    Group.objects.create(name=name)


def insert_group(name: str) -> None:
    """Add a group by SQL; the name must be new."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO auth_group (name) VALUES (%s)", [name])


def leave_transaction_open() -> None:
    """Begin a transaction and forget it."""
    transaction.atomic().__enter__()
    Runs.objects.count()


def terminate_a_child() -> int:
    """Fork a child that does not end by itself, end it by SIGTERM, and return its exit code."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork where threads run
        child = os.fork()
    if child == 0:
        os.write(writer, b"ready")
        while True:
            time.sleep(0.01)
    os.read(reader, 5)
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    return os.waitstatus_to_exitcode(status)


def let_a_child_return(code: int) -> int:
    """Fork a child that leaves the task, and return its exit code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        sys.exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def huge(length: int) -> str:
    """Return a long text."""
    return "x" * length


def fail(message: str = "as asked") -> None:
    """Raise ValueError."""
    raise ValueError(message)


def leave(code: int = 3) -> None:
    """Call sys.exit."""
    sys.exit(code)


def interrupt() -> None:
    """Raise KeyboardInterrupt."""
    raise KeyboardInterrupt


def fail_until(marker: str, tries: int) -> int:
    """Fail until this was tried so many times; the file `marker` counts."""
    with Path(marker).open("a") as file:
        file.write("x")
    if (count := len(Path(marker).read_text())) < tries:
        raise ValueError(f"try {count}")
    return count


def say_begun(gate: str) -> None:
    """Say by a file which process runs a task."""
    Path(f"{gate}.begun").write_text(str(os.getpid()))


def count_links() -> int:
    """Return how many links to the database the tasks of this process have had so far."""
    Runs.objects.exists()
    if not any(link is connection.connection for link in _links):
        _links.append(connection.connection)
    return len(_links)


def wait_for(gate: str, tag: str = "", limit: float = 60) -> None:
    """Say by a file that it runs, then run until the file `gate` is there."""
    say_begun(gate)
    deadline = time.monotonic() + limit
    while not Path(gate).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(gate)
        time.sleep(0.005)
    if tag:
        record(tag)


def kill_own_process() -> None:
    """Die as by SIGKILL."""
    os.kill(os.getpid(), 9)


def signal_itself(number: int) -> None:
    """Die of a signal."""
    os.kill(os.getpid(), number)


def exit_at_once(code: int) -> None:
    """End the process without a goodbye."""
    os._exit(code)


def close_all_files() -> None:
    """Close what the process has open but its standard streams, as a daemon does."""
    os.closerange(3, 1000)


def leave_a_process_and_exit(gate: str) -> None:
    """Fork a process that says by a file that it lives, and holds all that is open; then end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        say_begun(gate)
        time.sleep(10_000)
    while not Path(f"{gate}.begun").exists():
        time.sleep(0.005)
    os._exit(3)


def shut_the_pipe_at(gate: str) -> int:
    """Have the process live on when the task has ended, and return it.

    As soon as the file `gate` is there it hears nothing more from its parent, and says so.
    """
    sockets = [socket.socket(fileno=os.dup(number)) for number in range(3, 99) if is_pipe(number)]

    def shut() -> None:
        while not Path(gate).exists():
            time.sleep(0.005)
        for each in sockets:
            each.shutdown(socket.SHUT_RDWR)
        say_begun(gate)
        threading.Event().wait()

    threading.Thread(target=shut).start()
    return os.getpid()


def is_pipe(number: int) -> bool:
    """Tell whether a file descriptor is one end of a pair of sockets."""
    try:
        with socket.socket(fileno=os.dup(number)) as end:
            return end.family == socket.AF_UNIX and not end.getpeername()
    except OSError:
        return False


def query_for_ever() -> None:
    """Ask the database again and again."""
    while True:
        count_rows(1)


def count_rows(number: int) -> int:
    """Return a number, by way of the database."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {int(number)}")
        return int(cursor.fetchall()[0][0])


def command_line() -> list[str]:
    """Return the command line."""
    return sys.argv


def count_for_ever() -> None:
    """Run where Python can interrupt it."""
    while True:
        pass


def sleep_for_ever(gate: str) -> None:
    """Say by a file that it runs, then wait where Python cannot interrupt it."""
    say_begun(gate)
    time.sleep(10_000)


def hold_the_interpreter(gate: str) -> None:
    """Say by a file that it runs, then keep all other threads of the process from running."""
    say_begun(gate)
    re.match(r"(a|a)*b", "a" * 60)


def hold_memory(size: int) -> None:
    """Allocate memory, and keep it."""
    _held.append(b"x" * size)


def start_a_thread_that_never_ends() -> int:
    """Start a thread that Python waits for at its end; return the process."""
    threading.Thread(target=threading.Event().wait).start()
    return os.getpid()


def die_at(gate: str, tag: str) -> None:
    """Count this run in a file, and die as soon as the file `gate` is there."""
    with Path(f"{gate}.runs").open("a") as file:
        file.write("x")
    wait_for(gate)
    kill_own_process()


def record_and_die(tag: str) -> None:
    """Leave a row that tells of this run, and die as by SIGKILL."""
    record(tag)
    kill_own_process()


def die_unless(gate: str) -> str:
    """Die with a segmentation fault's signal, unless the file `gate` is there."""
    if not Path(gate).exists():
        os.kill(os.getpid(), signal.SIGSEGV)
    return Path(gate).name


async def add_slowly(first: int, second: int) -> int:
    """Return a sum, asynchronously."""
    await asyncio.sleep(0)
    return first + second


async def meet(number: int) -> int:
    """Return as soon as so many tasks of this kind run at once in this process."""
    _met.append(asyncio.current_task())
    if len(_met) == number:
        _all_have_met.set()
    await _all_have_met.wait()
    return number


async def wait_slowly(gate: str, tag: str = "") -> None:
    """Do as `wait_for`, asynchronously."""
    say_begun(gate)
    while not Path(gate).exists():
        await asyncio.sleep(0.005)
    if tag:
        await sync_to_async(record)(tag)


async def fail_slowly(marker: str, tries: int) -> int:
    """Do as `fail_until`, asynchronously."""
    await asyncio.sleep(0)
    return fail_until(marker, tries)


async def cancel_itself(*, wait: bool) -> int:
    """Cancel the own task; where it waits no more, that comes too late."""
    task = asyncio.current_task()
    assert task
    task.cancel()
    if wait:
        await asyncio.sleep(0)
    return 5


async def raise_slowly(name: str) -> None:
    """Raise an exception of Python's own."""
    raise getattr(builtins, name)


async def raise_in_a_task(name: str) -> None:
    """Have another task raise an exception of Python's own, and wait for it."""
    await asyncio.create_task(raise_slowly(name))


async def change_context(value: str) -> list[str]:
    """Set variables, and return what they were, here and in a thread."""
    before = [_variable.get(), get_language()]
    before += await sync_to_async(lambda: [_variable.get(), get_language()])()
    _variable.set(value)
    activate(value)
    return before


def surroundings() -> list[Any]:
    """Return language, time zone, request id and tenant, and leave others behind."""
    found = [
        get_language(),
        str(timezone.get_current_timezone()),
        request_id.get(),
        tenant.get("nobody's"),
    ]
    activate("it")
    timezone.activate("Asia/Tokyo")
    request_id.set("left behind")
    tenant.set("left behind")
    return found


async def surroundings_slowly() -> list[Any]:
    """Do as `surroundings`, asynchronously and in a thread."""
    return await sync_to_async(surroundings)()


def tell_of_itself() -> dict[str, Any]:
    """Return what is known of the task that is being run."""
    task = current_task()
    assert task
    assert task.started_at <= timezone.now()
    return {field: value for field, value in asdict(task).items() if field != "started_at"}


async def tell_of_itself_slowly() -> list[dict[str, Any]]:
    """Do as `tell_of_itself`: here, in another coroutine, and in two threads."""
    return [
        tell_of_itself(),
        await asyncio.create_task(_tell()),
        await sync_to_async(tell_of_itself)(),
        await asyncio.to_thread(tell_of_itself),
    ]


async def _tell() -> dict[str, Any]:
    await asyncio.sleep(0)
    return tell_of_itself()


def fail_before(attempt: int) -> dict[str, Any]:
    """Fail before this attempt, at which it is told what is known of the task."""
    told = tell_of_itself()
    if told["attempt"] < attempt:
        raise ValueError(told)
    return told


def log(message: str) -> int | None:
    """Log a warning, as the site's own code does, and return the id of the task."""
    logging.getLogger("shop").warning("They say %s", message)
    return task.id if (task := current_task()) else None


async def log_slowly(message: str) -> int | None:
    """Do as `log`, asynchronously and in a thread."""
    return await sync_to_async(log)(message)


def log_often(number: int) -> None:
    """Log so many warnings, and what is no warning."""
    logging.getLogger("shop").debug("too much")
    for each in range(number):
        logging.getLogger("shop").warning("%s", each)


def log_and_fail(message: str) -> None:
    """Log a warning, then the error that it fails with."""
    log(message)
    try:
        raise ValueError("as asked")
    except ValueError:
        logging.getLogger("shop.errors").exception("It does not go on")
        raise


def log_and_fail_until(marker: str, tries: int) -> int:
    """Log which try it is, and fail until that is the last one."""
    count = len(Path(marker).read_text()) if Path(marker).exists() else 0
    log(f"try {count + 1}")
    return fail_until(marker, tries)


def log_in_threads() -> None:
    """Log in two threads, of which one has the task's context."""
    for run, message in ((copy_context().run, "mine"), (Context().run, "somebody else's")):
        thread = threading.Thread(target=run, args=(log, message))
        thread.start()
        thread.join()


async def log_and_wait_slowly(gate: str) -> None:
    """Log, then run until the file `gate` is there, asynchronously."""
    log("I wait")
    say_begun(gate)
    while not Path(gate).exists():
        await asyncio.sleep(0.005)


def log_and_stay() -> None:
    """Log, then run until a time limit ends it."""
    log("I stay")
    while True:
        pass


def log_and_die(lines: int) -> None:
    """Log so many warnings, then die of a signal."""
    log_often(lines)
    signal_itself(signal.SIGKILL)


def advance(gate: str, *values: int | None) -> None:
    """Tell its progress, then run until the file `gate` is there, and tell that it is done."""
    progress(*values)  # type: ignore[arg-type]
    wait_for(gate)
    progress(100, 100)


async def advance_slowly(gate: str, *values: int | None) -> None:
    """Do as `advance`, asynchronously."""
    progress(*values)  # type: ignore[arg-type]
    await wait_slowly(gate)
    await sync_to_async(progress)(100, 100)


def advance_and_fail(gate: str) -> None:
    """Tell its progress and fail; at the second attempt, only run until the file is there."""
    task = current_task()
    assert task
    if task.attempt > 1:
        return wait_for(gate)
    progress(5, 10)
    raise ValueError


def advance_and_die(gate: str) -> None:
    """Do as `advance_and_fail`, but take the process down when the progress is stored."""
    task = current_task()
    assert task
    if task.attempt > 1:
        return wait_for(gate)
    progress(5, 10)
    while QueuedTasks.objects.get(pk=task.id).progress is None:
        time.sleep(0.005)
    kill_own_process()
    return None


def advance_for_ever(gate: str) -> None:
    """Tell progress again and again; say by a file that it does."""
    progress(0)
    say_begun(gate)
    for number in itertools.count(1):
        progress(number)


def advance_in_a_transaction(gate: str) -> None:
    """Tell progress in a transaction that is undone when the file `gate` is there."""
    with transaction.atomic():
        progress(7, 10)
        wait_for(gate)
        transaction.set_rollback(True)


def mark_cache(mark: str) -> Any:
    """Mark the cache's own object, and return the mark that it had."""
    before = getattr(cache, "mark", None)
    cache.mark = mark  # type: ignore[attr-defined]
    return before


async def leave_a_task_running(gate: str) -> None:
    """Start a task that says by a file that it was cancelled, and do not wait for it."""
    begun = asyncio.Event()

    async def run() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            say_begun(gate)

    _left.append(asyncio.create_task(run()))
    await begun.wait()


async def connection_number() -> int:
    """Return the number that the database has for the connection of async tasks."""
    return await sync_to_async(_connection_number)()


def _connection_number() -> int:
    number = "pg_backend_pid()" if connection.vendor == "postgresql" else "CONNECTION_ID()"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {number}")
        return int(cursor.fetchall()[0][0])


async def leave_transaction_open_slowly() -> None:
    """Do as `leave_transaction_open`, asynchronously."""
    await sync_to_async(leave_transaction_open)()


async def record_slowly(tag: str) -> None:
    """Do as `record`, asynchronously."""
    await Runs.objects.acreate(tag=tag, process=os.getpid())


async def record_and_die_slowly(tag: str) -> None:
    """Do as `record_and_die`, asynchronously."""
    await record_slowly(tag)
    kill_own_process()


async def query_log_length_slowly() -> int:
    """Do as `query_log_length`, asynchronously."""
    return await sync_to_async(query_log_length)()


async def let_a_child_return_slowly(code: int) -> int:
    """Do as `let_a_child_return`, asynchronously."""
    await asyncio.sleep(0)
    return let_a_child_return(code)


async def ignore_cancellation(gate: str) -> None:
    """Say by a file that it runs, and run for ever, whatever anybody says."""
    say_begun(gate)
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


async def survive_cancellation(gate: str) -> str:
    """Say by a file that it runs, and return when it is cancelled."""
    say_begun(gate)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return "survived"
    return "woken"


async def never_end(gate: str) -> None:
    """Say by a file that it runs, then run for ever."""
    say_begun(gate)
    await asyncio.Event().wait()


def unstorable() -> Any:
    """Return what neither JSON nor pickle can hold."""
    return (number for number in range(3))


def query_log_length() -> int:
    """Return how many queries the log of this thread holds, after one more was made."""
    kept = len(connection.queries_log)
    Runs.objects.count()
    return kept


class Calculator:
    """Has methods of each kind."""

    @classmethod
    def name(cls) -> str:
        """Return the name of the class."""
        return cls.__name__

    @staticmethod
    def double(number: int) -> int:
        """Return twice the number."""
        return 2 * number

    def method(self) -> None:
        """Need an object."""


class PocketCalculator(Calculator):
    """Inherits them."""
