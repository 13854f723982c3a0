"""Several places: hints and questions go to the first that answers, and cost no more for it."""

import logging
import socket
from collections.abc import Callable, Iterator

import pytest

from leek import client, connecting, hint_line, hinting
from leek.conf import DEFAULTS
from leek.connecting import in_turn, is_here
from leek.exceptions import ServerUnreachable
from leek.places import Place
from leek.server.listener import Listener, PortInUse
from leek.server.listening import NoPlaceHere, listener_at
from tests.integration.test_hints import AGES, Control, said_at
from tests.support import GIVE_UP_AFTER, black_hole, free_port

pytestmark = pytest.mark.any_database

ELSEWHERE = "192.0.2.1"  # an address for documentation, of no machine


@pytest.fixture(autouse=True)
def nobody_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have lines end by no time that this machine takes."""
    for limit in ("LONGEST_REST", "LONGEST_USE"):
        monkeypatch.setattr(hint_line, limit, AGES)


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Return two free ports, of the places that hints go to."""
    first, second = free_port(), free_port()
    monkeypatch.setenv("LEEK_TASKS_HOST", f"127.0.0.1:{first}, 127.0.0.1:{second}")
    return first, second


@pytest.fixture
def first(ports: tuple[int, int]) -> int:
    """Return the port of the first place."""
    return ports[0]


@pytest.fixture
def second(ports: tuple[int, int]) -> int:
    """Return the port of the second place."""
    return ports[1]


@pytest.fixture
def second_door(second: int) -> Iterator[socket.socket]:
    """Return a socket that listens at the second place; nothing is accepted but by the test."""
    with socket.create_server(("127.0.0.1", second)) as door:
        yield door


Tries = list[tuple[int, float]]


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> Tries:
    """Return a list of the ports that are tried, each with the seconds that it is given."""
    tries: Tries = []
    connect = connecting.connect

    def spy(host: str, port: int, timeout: float) -> socket.socket:
        tries.append((port, timeout))
        return connect(host, port, timeout)

    for module in (hinting, client):
        monkeypatch.setattr(module, "connect", spy)
    return tries


def never_again(monkeypatch: pytest.MonkeyPatch, *pauses: str) -> None:
    """Leave places alone for ages after an error."""
    for pause in pauses:
        monkeypatch.setattr(hinting, pause, AGES)


class TestHints:
    """The hint of this very push arrives, wherever somebody answers."""

    def test_go_to_the_first_place_alone(
        self, first: int, second_door: socket.socket, tries: Tries
    ) -> None:
        with socket.create_server(("127.0.0.1", first)) as door:
            for _ in range(3):
                hinting.hint()
            assert said_at(door) == [["hint"] * 3]
        assert said_at(second_door) == []
        assert len(tries) == 1

    def test_go_to_the_second_place_where_the_first_refuses(
        self,
        first: int,
        second_door: socket.socket,
        tries: Tries,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        for _ in range(3):
            hinting.hint()
        assert said_at(second_door) == [["hint"] * 3]
        assert len(tries) == 2
        assert caplog.text == ""

    def test_go_to_the_second_place_where_the_first_is_a_black_hole(
        self,
        first: int,
        second: int,
        second_door: socket.socket,
        tries: Tries,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        never_again(monkeypatch, "FIRST_PAUSE", "LONGEST_PAUSE")
        monkeypatch.setattr(hint_line, "LONGEST_REST", -1.0)
        with black_hole(first):
            for _ in range(3):
                hinting.hint()
        assert said_at(second_door) == [["hint"]] * 3
        assert [port for port, _ in tries] == [first, second, second, second]
        assert tries[0][1] <= DEFAULTS["HINT_TIMEOUT"] / 2

    def test_wait_no_longer_for_two_black_holes_than_for_one(
        self, first: int, second: int, tries: Tries, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        never_again(monkeypatch, "FIRST_PAUSE", "LONGEST_PAUSE")
        with black_hole(first), black_hole(second):
            for _ in range(3):
                hinting.hint()
        assert [port for port, _ in tries] == [first, second]
        assert sum(seconds for _, seconds in tries) <= DEFAULTS["HINT_TIMEOUT"]

    def test_leave_each_place_alone_for_its_own_time(
        self, first: int, second: int, tries: Tries, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        never_again(monkeypatch, "FIRST_PAUSE", "LONGEST_PAUSE")
        monkeypatch.setattr(hinting, "REFUSED_PAUSE", 0.0)
        with black_hole(first):
            for _ in range(3):
                hinting.hint()
        assert [port for port, _ in tries] == [first, second, second, second]

    def test_keep_a_line_while_it_works(
        self,
        first: int,
        second_door: socket.socket,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(hinting, "REFUSED_PAUSE", 0.0)
        hinting.hint()
        with socket.create_server(("127.0.0.1", first)) as door:
            hinting.hint()
            assert said_at(second_door) == [["hint"] * 2]
            hinting.hint()  # over a new line
            assert said_at(door) == [["hint"]]

    def test_change_over_where_a_server_ends(self, first: int, second_door: socket.socket) -> None:
        control = Control()
        listener = Listener("127.0.0.1", first, control)
        listener.start()
        hinting.hint()
        control.await_hints(1)
        listener.stop()
        hinting.hint()
        assert said_at(second_door) == [["hint"]]

    def test_say_once_that_nobody_answers_and_where(
        self,
        first: int,
        second: int,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(hinting, "REFUSED_PAUSE", 0.0)
        for _ in range(3):
            hinting.hint()
        (warning,) = caplog.records
        assert warning.levelno == logging.WARNING
        told = warning.getMessage()
        assert f"No leek_server is listening at 127.0.0.1:{first} ([Errno 111]" in told
        assert f"refused), 127.0.0.1:{second} ([Errno 111] Connection refused). Tasks" in told

    def test_say_so_again_after_one_was_heard(
        self, second: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hinting, "REFUSED_PAUSE", 0.0)
        hinting.hint()
        with socket.create_server(("127.0.0.1", second)) as door:
            hinting.hint()
            assert said_at(door) == [["hint"]]
        hinting.hint()
        assert len(caplog.records) == 2

    def test_share_what_they_know_with_who_waits_for_a_task(
        self,
        first: int,
        second: int,
        second_door: socket.socket,
        tries: Tries,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        never_again(monkeypatch, "REFUSED_PAUSE")
        hinting.hint()
        connection = hinting.connect_for_a_while(60)
        assert connection is not None
        assert connection.getpeername()[1] == second
        connection.close()
        assert [port for port, _ in tries] == [first, second, second]


class TestQuestions:
    """A question is answered by the first server that does."""

    @pytest.fixture
    def at_second(self, second: int) -> Iterator[None]:
        """Have a server at the second place only."""
        listener = Listener("127.0.0.1", second, Control())
        listener.start()
        yield
        listener.stop()

    @pytest.fixture
    def patient_at_second(self, at_second: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have questions give the first place a moment, and the second all the time it takes."""
        seconds = 0.2, GIVE_UP_AFTER
        monkeypatch.setattr(client, "in_turn", lambda at, _: zip(at, seconds, strict=True))

    def test_are_answered_at_the_second_place_where_the_first_refuses(
        self, at_second: None, second: int
    ) -> None:
        assert client.ask("ping").ok
        places = [Place("127.0.0.1", free_port()), Place("127.0.0.1", second)]
        assert client.ask_in_turn("ping", places).place == places[1]

    def test_are_answered_at_the_second_place_where_the_first_is_a_black_hole(
        self, patient_at_second: None, first: int
    ) -> None:
        with black_hole(first):
            assert client.ask("ping").ok

    def test_are_answered_at_the_second_place_where_somebody_else_has_the_first(
        self, patient_at_second: None, first: int
    ) -> None:
        with socket.create_server(("127.0.0.1", first)):  # where nobody says anything
            assert client.ask("ping").ok

    def test_go_where_the_caller_says(self, at_second: None, first: int, second: int) -> None:
        assert client.ask("ping", host="127.0.0.1", port=second).ok
        with pytest.raises(
            ServerUnreachable, match=rf"^No leek_server answers at 127.0.0.1:{first} "
        ):
            client.ask("ping", port=first)

    def test_that_nobody_answers_name_all_places(self, first: int, second: int) -> None:
        problem = (
            rf"^No leek_server answers at 127.0.0.1:{first} \(.*\), 127.0.0.1:{second} \(.*\)\.$"
        )
        with pytest.raises(ServerUnreachable, match=problem):
            client.ask("ping")
        with pytest.raises(ServerUnreachable, match=problem):
            client.command("stop")


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    """Return a function that listens as a server of this machine does; it ends with the test."""
    listeners: list[Listener] = []

    def start(*places: Place) -> Listener:
        listeners.append(listener_at(places, Control()))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.stop()


class TestListening:
    """A server takes the first place that is here and free."""

    def test_takes_one_place_after_the_other(self, listen: Callable[..., Listener]) -> None:
        places = [Place("localhost", free_port()), Place("127.0.0.1", free_port())]
        taken = [listen(*places) for _ in places]
        assert [(each.host, each.port) for each in taken] == places
        problem = f"^port {places[0].port} of 127.0.0.1 is in use, port {places[1].port} of 127"
        with pytest.raises(PortInUse, match=problem):
            listen(*places)

    def test_leaves_the_places_of_others(self, listen: Callable[..., Listener]) -> None:
        here = Place("localhost", free_port())
        others = [Place(ELSEWHERE, here.port), Place("no such name", here.port)]
        assert listen(*others, here).port == here.port

    def test_needs_a_place_that_is_here(self, listen: Callable[..., Listener]) -> None:
        with pytest.raises(NoPlaceHere, match=rf"^none of {ELSEWHERE}:1, {ELSEWHERE}:2 is at this"):
            listen(Place(ELSEWHERE, 1), Place(ELSEWHERE, 2))

    def test_has_to_take_a_single_place(self, listen: Callable[..., Listener]) -> None:
        with pytest.raises(OSError, match="assign"):
            listen(Place(ELSEWHERE, free_port()))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("0.0.0.0", True),
        (ELSEWHERE, False),
        ("2001:db8::1", False),
        ("a..b", False),
        ("no\x00name", False),
    ],
)
def test_an_address_is_here_if_it_can_be_bound(host: str, expected: bool) -> None:
    assert is_here(host, 60) is expected


def test_places_share_what_is_left_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("leek.connecting.time.monotonic", lambda: now)
    places = [Place("a", 1), Place("b", 1), Place("c", 1), Place("d", 1)]
    given = []
    for _, seconds in in_turn(places, now + 8):
        given.append(seconds)
        now += {1: 2.0, 2: 0.0, 3: 9.0}.get(len(given), 0.0)
    assert given == [2.0, 2.0, 3.0, connecting.SHORTEST_TRY]
