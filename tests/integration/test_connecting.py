"""Names cost little where one of several addresses hangs, or the name server is slow or gone."""

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from leek import connecting, hinting
from leek.connecting import addresses_of, connect
from tests.integration.test_hints import AGES, said_at
from tests.support import black_hole, python, wait_until

pytestmark = pytest.mark.any_database

NAME = "queue1"
FIRST, SECOND = "127.0.0.1", "127.0.0.2"


class NameServer:
    """Stands for one that knows the addresses of one name; it is slow, or fails, if it has to."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.questions = 0
        self.error: OSError | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._resolve = socket.getaddrinfo

    def resolve(self, host: str, *args: Any, **options: Any) -> Any:
        """Do as `socket.getaddrinfo`."""
        if host != NAME:
            return self._resolve(host, *args, **options)
        self.questions += 1
        self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in self.addresses
        ]


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """Return a name server that knows an address; nothing is known of names here before."""
    name_server = NameServer(FIRST)
    monkeypatch.setattr(socket, "getaddrinfo", name_server.resolve)
    for known in ("_resolved", "_answered"):
        monkeypatch.setattr(connecting, known, {})
    yield name_server
    name_server.may_answer.set()
    await_end_of_look_ups()


def await_end_of_look_ups() -> None:
    """Wait until nobody asks a name server any more."""

    def is_so() -> bool:
        return all(thread.name != "leek-resolver" for thread in threading.enumerate())

    wait_until(is_so, "the end of the look-ups")


@pytest.fixture
def door(port: int) -> Iterator[socket.socket]:
    """Return a listening socket at the first address; nothing is accepted but by the test."""
    with socket.create_server((FIRST, port)) as door:
        yield door


Tries = list[tuple[str, float]]


@pytest.fixture
def tries(port: int, name_server: NameServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tries]:
    """Return a list of the addresses that are tried, each with the seconds that it is given.

    The name has two of them. The first hangs, and the second is good.
    """
    tries: Tries = []
    create_connection = socket.create_connection

    def spy(address: tuple[str, int], timeout: float) -> socket.socket:
        tries.append((address[0], timeout))
        return create_connection(address, timeout)

    name_server.addresses = [FIRST, SECOND]
    with black_hole(port), socket.create_server((SECOND, port)):
        monkeypatch.setattr(socket, "create_connection", spy)
        yield tries


def reached(port: int, timeout: float = AGES) -> str:
    """Connect, and return the address that has accepted."""
    with connect(NAME, port, timeout) as connection:
        return str(connection.getpeername()[0])


class TestAddresses:
    """One that answers is reached, whatever the others of its name do."""

    def test_share_the_time(self, tries: Tries, port: int) -> None:
        assert reached(port, 0.5) == SECOND
        assert [address for address, _ in tries] == [FIRST, SECOND]
        assert tries[0][1] <= 0.25

    @pytest.mark.parametrize("lifetime", [AGES, -1.0])
    def test_that_hang_are_not_tried_again(
        self, tries: Tries, port: int, lifetime: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connecting, "ADDRESS_LIFETIME", lifetime)
        for _ in range(3):
            assert reached(port, 0.5) == SECOND
        assert [address for address, _ in tries] == [FIRST, SECOND, SECOND, SECOND]

    def test_have_their_turn_again_where_another_ends(
        self, name_server: NameServer, port: int
    ) -> None:
        name_server.addresses = [FIRST, SECOND]
        for address in (SECOND, FIRST, SECOND):
            with socket.create_server((address, port)):
                assert reached(port) == address


class TestNameServer:
    """What it says is kept, also when it is late, until it says something else."""

    @pytest.fixture(autouse=True)
    def never_silent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have hints go to the name, and try again at once where they have failed."""
        monkeypatch.setenv("LEEK_TASKS_HOST", NAME)
        for pause in ("REFUSED_PAUSE", "FIRST_PAUSE", "LONGEST_PAUSE"):
            monkeypatch.setattr(hinting, pause, 0.0)

    def test_is_heard_by_a_later_hint_where_it_is_slow(
        self, name_server: NameServer, door: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name_server.may_answer.clear()
        monkeypatch.setenv("LEEK_HINT_TIMEOUT", "0.01")
        for _ in range(3):
            hinting.hint()
        assert said_at(door) == []
        name_server.may_answer.set()
        await_end_of_look_ups()
        monkeypatch.setenv("LEEK_HINT_TIMEOUT", "10")
        hinting.hint()
        assert said_at(door) == [["hint"]]
        assert name_server.questions == 1

    def test_may_fail_where_it_has_answered_before(
        self,
        name_server: NameServer,
        door: socket.socket,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("LEEK_HINT_TIMEOUT", "10")
        monkeypatch.setattr(connecting, "ADDRESS_LIFETIME", -1.0)
        addresses_of(NAME, AGES)
        name_server.error = socket.gaierror(socket.EAI_AGAIN, "try again")
        hinting.hint()
        assert said_at(door) == [["hint"]]
        hinting.hint()
        assert said_at(door) == [["hint"]]
        assert name_server.questions == 2  # for a while it is left alone
        assert caplog.text == ""

    def test_may_be_slow_where_it_has_answered_before(
        self, name_server: NameServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connecting, "ADDRESS_LIFETIME", -1.0)
        addresses_of(NAME, AGES)
        name_server.may_answer.clear()
        assert addresses_of(NAME, 0.01) == [FIRST]
        assert addresses_of(NAME, AGES) == [FIRST]  # without another wait
        assert name_server.questions == 2

    def test_is_asked_again_after_it_has_failed(
        self, name_server: NameServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for lifetime in ("ADDRESS_LIFETIME", "DOUBTED_LIFETIME"):
            monkeypatch.setattr(connecting, lifetime, -1.0)
        addresses_of(NAME, AGES)
        name_server.error = socket.gaierror(socket.EAI_NONAME, "not known")
        assert addresses_of(NAME, AGES) == [FIRST]
        name_server.error, name_server.addresses = None, [SECOND]
        assert addresses_of(NAME, AGES) == [SECOND]

    def test_is_not_asked_where_there_can_be_no_more_threads(
        self, name_server: NameServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(OSError, match="can't start new thread"):
                addresses_of(NAME, AGES)
        assert addresses_of(NAME, AGES) == [FIRST]


FORK = """
import os, socket, threading, warnings
from contextlib import suppress
from leek.connecting import addresses_of

warnings.simplefilter("ignore", DeprecationWarning)  # that a process with threads is forked
parent, may_answer = os.getpid(), threading.Event()

def resolve(host, *args, **options):
    if os.getpid() == parent:
        may_answer.wait()
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

socket.getaddrinfo = resolve
with suppress(TimeoutError):
    addresses_of("queue1", 0.01)
if (child := os.fork()) == 0:
    with suppress(TimeoutError):
        os._exit(addresses_of("queue1", 10) != ["127.0.0.1"])
    os._exit(2)
answer = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
may_answer.set()
assert answer == 0, answer
assert addresses_of("queue1", 10) == ["127.0.0.1"]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_does_not_wait_for_a_look_up_of_its_parent() -> None:
    answer = python("-c", FORK)
    assert (answer.returncode, answer.stderr) == (0, "")
