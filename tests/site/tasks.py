"""What the tests push."""

import asyncio
import os
import re
import signal
import socket
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection, transaction

from tests.site.models import Runs

_held: list[bytes] = []


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


def shut_the_pipe_soon() -> None:
    """Have the process live on when the task has ended, but hear nothing more from its parent."""
    threading.Thread(target=threading.Event().wait).start()
    sockets = [socket.socket(fileno=os.dup(number)) for number in range(3, 20) if is_pipe(number)]

    def shut() -> None:
        for each in sockets:
            each.shutdown(socket.SHUT_RDWR)

    threading.Timer(0.2, shut).start()


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
