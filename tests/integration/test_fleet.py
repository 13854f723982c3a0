"""Several servers of one queue: where each listens, and all of them stopped and shown at once."""

import json
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from leek import client, fleet, leases, lifecycle
from leek.api import push_task_to_queue
from leek.database import after
from leek.explaining import explain
from leek.models import Servers
from leek.places import Place
from leek.server.listener import Listener
from tests.conftest import StartServer
from tests.integration.test_hints import Control
from tests.integration.test_places import ELSEWHERE
from tests.site import tasks
from tests.support import GIVE_UP_AFTER, LeekServer, black_hole, free_port, manage, run, wait_until

NAME = socket.gethostname()


@pytest.fixture(autouse=True)
def nobody_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have who asks in this process wait for all servers, whatever time this machine takes."""
    monkeypatch.setattr(fleet, "PATIENCE", GIVE_UP_AFTER)


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Return two free ports of this machine, at both of which a server may be."""
    first, second = free_port(), free_port()
    monkeypatch.setenv("LEEK_TASKS_HOST", f"localhost:{first},localhost:{second}")
    return first, second


def a_server(address: str = "127.0.0.1", port: int = 1, *, host: str | None = None) -> Servers:
    """Return a server with a lease, of this host or of another."""
    server = leases.register(address=address, port=port, workers=1, queues=None, seconds=300)
    if host:
        Servers.objects.filter(pk=server.pk).update(host=host, hostname=host)
        server.refresh_from_db()
    return server


def enter_at_the_place_of(other: LeekServer, server: LeekServer) -> None:
    """Have a server be entered as one of another host would be that uses the same addresses."""
    Servers.objects.filter(port=server.port).update(hostname="another", port=other.port)


def status() -> dict[str, Any]:
    """Return what leek_status tells a program."""
    told: dict[str, Any] = json.loads(manage("leek_status", "--json").stdout)
    return told


def answers() -> dict[int, bool | None]:
    """Return which servers answer, by their ports."""
    return {server["port"]: server["answers"] for server in status()["servers"]}


@pytest.mark.django_db(transaction=True)
class TestListening:
    """leek_server takes the first place that is here and free."""

    def test_a_server_takes_the_next_place_where_the_first_is_in_use(
        self, ports: tuple[int, int]
    ) -> None:
        first, second = ports
        with socket.create_server(("127.0.0.1", first)):
            server = manage("leek_server", "--drain")
        assert f"leek_server is ready at localhost:{second}" in server.stdout
        assert server.returncode == 0

    def test_a_server_says_which_ports_are_in_use(self, ports: tuple[int, int]) -> None:
        first, second = ports
        with (
            socket.create_server(("127.0.0.1", first)),
            socket.create_server(("127.0.0.1", second)),
        ):
            server = manage("leek_server", "--drain")
        assert server.returncode == 2
        assert server.stderr == (
            f"CommandError: leek_server cannot listen: port {first} of 127.0.0.1 is in use,"
            f" port {second} of 127.0.0.1 is in use. Stop what listens there, or choose another"
            " --port.\n"
        )

    def test_a_server_at_none_of_the_places_is_told_where_to_listen(self, port: int) -> None:
        elsewhere = {"LEEK_TASKS_HOST": f"{ELSEWHERE},{ELSEWHERE}:8003"}
        server = manage("leek_server", "--drain", **elsewhere)
        assert server.returncode == 2
        assert server.stderr == (
            f"CommandError: leek_server cannot listen: none of {ELSEWHERE}:{port},"
            f" {ELSEWHERE}:8003 is at this machine. Say by --host where to listen, or name this"
            " machine in TASKS_HOST.\n"
        )
        server = manage("leek_server", "--drain", "--host", "127.0.0.1", **elsewhere)
        assert f"leek_server is ready at 127.0.0.1:{port}" in server.stdout

    def test_a_port_is_for_all_hosts(self, ports: tuple[int, int]) -> None:
        port = free_port()
        server = manage("leek_server", "--drain", "--port", str(port))
        assert f"leek_server is ready at localhost:{port}" in server.stdout


class TestStop:
    """leek_stop, of one of several places, and of all servers."""

    def test_stops_the_first_of_this_machine_that_answers(
        self, start_server: StartServer, ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = ports
        server = start_server(port=second)
        places = f"{ELSEWHERE},localhost:{first},localhost:{second}"
        answer = manage("leek_stop", LEEK_TASKS_HOST=places)
        assert (answer.returncode, answer.stdout) == (0, "Server stopped.\n")
        assert server.wait() == 0
        answer = manage("leek_stop", LEEK_TASKS_HOST=places)
        assert answer.returncode == 2
        assert f"No leek_server answers at localhost:{first} (" in answer.stderr
        assert ELSEWHERE not in answer.stderr

    def test_does_not_guess_which_server_of_another_machine_is_meant(self) -> None:
        answer = manage("leek_stop", LEEK_TASKS_HOST=f"{ELSEWHERE}:1,{ELSEWHERE}:2")
        assert answer.returncode == 2
        assert answer.stderr == (
            f"CommandError: None of {ELSEWHERE}:1, {ELSEWHERE}:2 is at this machine. Run"
            f" leek_stop there, name the one to stop (LEEK_TASKS_HOST={ELSEWHERE}:1 manage.py"
            " leek_stop), or stop all with --all.\n"
        )

    def test_stops_all_servers_at_places_and_elsewhere(
        self, start_server: StartServer, ports: tuple[int, int]
    ) -> None:
        servers = [start_server(port=ports[0]), start_server(port=free_port())]
        assert sorted(run("leek_stop", "--all").splitlines()) == sorted(
            f"Server {NAME} 127.0.0.1:{server.port} stopped." for server in servers
        )
        assert [server.wait() for server in servers] == [0, 0]
        answer = manage("leek_stop", "--all")
        assert answer.returncode == 2
        assert answer.stderr == "CommandError: No leek_server is running.\n"

    def test_stops_all_workers_and_then_the_servers_without_a_lease(
        self, start_server: StartServer, ports: tuple[int, int]
    ) -> None:
        servers = [start_server(port=port) for port in ports]
        assert sorted(run("leek_stop", "--all", "--worker-only").splitlines()) == sorted(
            f"Server {NAME} 127.0.0.1:{port}: Worker off." for port in ports
        )
        assert not Servers.objects.exists()
        assert not any(server.ended for server in servers)
        for options, done in ((["--worker-only"], ": Worker off."), ([], " stopped.")):
            assert sorted(run("leek_stop", "--all", *options).splitlines()) == sorted(
                f"Server localhost:{port}{done}" for port in ports
            )
        assert [server.wait() for server in servers] == [0, 0]

    def test_orders_a_server_once_that_is_named_twice(
        self, start_server: StartServer, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LEEK_TASKS_HOST", "127.0.0.1,localhost")
        server = start_server("--host", "127.0.0.1")
        run("leek_stop", "--all", "--worker-only")
        assert run("leek_stop", "--all") == f"Server 127.0.0.1:{port} stopped.\n"
        assert server.wait() == 0

    def test_asks_for_the_address_of_each_host_once(
        self, ports: tuple[int, int], transactional_db: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        hosts = ["one", "two", "three"]
        resolve = socket.getaddrinfo

        def know_none_of_them(host: str, *args: Any, **options: Any) -> Any:
            if host in hosts:
                asked.append(host)
                raise socket.gaierror
            return resolve(host, *args, **options)

        monkeypatch.setattr(socket, "getaddrinfo", know_none_of_them)
        for host in hosts:
            a_server("0.0.0.0", ports[0], host=host)
            a_server("0.0.0.0", ports[1], host=host)
        listeners = [Listener("127.0.0.1", port, Control()) for port in ports]
        for listener in listeners:
            listener.start()
        try:
            assert len(fleet.members()) == 2 * len(hosts) + len(listeners)
        finally:
            for listener in listeners:
                listener.stop()
        assert sorted(asked) == sorted(hosts)

    def test_stops_the_others_where_one_does_not_answer(
        self, start_server: StartServer, ports: tuple[int, int]
    ) -> None:
        frozen, sound = (start_server(port=port) for port in ports)
        frozen.freeze()
        try:
            answer = manage("leek_stop", "--all")
            assert answer.returncode == 2
            assert answer.stdout == f"Server {NAME} 127.0.0.1:{sound.port} stopped.\n"
            assert answer.stderr == (
                f"Server {NAME} 127.0.0.1:{frozen.port} cannot be reached: No leek_server answers"
                f" at 127.0.0.1:{frozen.port} (timed out).\n"
            )
            assert sound.wait() == 0
        finally:
            frozen.thaw()

    def test_says_who_refuses(self, start_server: StartServer, ports: tuple[int, int]) -> None:
        server = start_server(port=ports[0])
        answer = manage("leek_stop", "--all", TESTS_SECRET_KEY="another")
        assert (answer.returncode, answer.stdout) == (1, "")
        assert answer.stderr == f"Server {NAME} 127.0.0.1:{server.port} refuses: wrong secret.\n"
        assert not server.ended

    @pytest.mark.parametrize("order", [[], ["--worker-only"]])
    def test_names_a_server_at_whose_address_another_one_has_stopped(
        self, start_server: StartServer, ports: tuple[int, int], order: list[str]
    ) -> None:
        reached = start_server(port=ports[0])
        other = start_server(port=free_port(), LEEK_LEASE="9")
        enter_at_the_place_of(reached, other)
        answer = manage("leek_stop", "--all", *order)
        assert answer.returncode == 2
        done = ": Worker off." if order else " stopped."
        assert answer.stdout == f"Server {NAME} 127.0.0.1:{reached.port}{done}\n"
        assert answer.stderr == (
            f"Server another 127.0.0.1:{reached.port} cannot be reached: Another server answers at"
            f" 127.0.0.1:{reached.port}.\n"
        )
        assert not other.ended

    def test_a_server_has_stopped_that_did_not_end_its_lease_when_that_is_over(
        self, start_server: StartServer, ports: tuple[int, int]
    ) -> None:
        reached, killed = (start_server(port=port, LEEK_LEASE="300") for port in ports)
        enter_at_the_place_of(reached, killed)
        killed.kill()
        with ThreadPoolExecutor() as beside:
            answer = beside.submit(manage, "leek_stop", "--all")
            assert reached.wait() == 0
            Servers.objects.update(expires_at=after(-1))
        assert (answer.result().returncode, answer.result().stderr) == (0, "")
        assert sorted(answer.result().stdout.splitlines()) == sorted(
            f"Server {name} 127.0.0.1:{reached.port} stopped." for name in (NAME, "another")
        )

    @pytest.mark.django_db(transaction=True)
    def test_says_who_cannot_be_reached_from_here(self, ports: tuple[int, int]) -> None:
        a_server(host="another")
        a_server(port=0)  # it listens nowhere
        answer = manage("leek_stop", "--all")
        assert (answer.returncode, answer.stdout) == (2, "")
        assert answer.stderr == (
            "Server another 127.0.0.1:1 cannot be reached: It listens at its own machine only.\n"
        )


class TestStatus:
    """leek_status shows which servers answer from here."""

    def test_tells_that_all_answer_and_which_place_did(
        self, start_server: StartServer, ports: tuple[int, int]
    ) -> None:
        _, second = ports
        servers = [start_server(port=second), start_server(port=free_port())]
        wait_until(lambda: answers() == {server.port: True for server in servers}, "the answers")
        named = f"localhost:{ports[0]}, localhost:{second}"
        assert f"Worker at {named}: on (at localhost:{second})\n" in run("leek_status")

    def test_tells_which_server_does_not_answer(
        self, start_server: StartServer, ports: tuple[int, int]
    ) -> None:
        frozen, sound = (start_server(port=port) for port in ports)
        frozen.freeze()

        def is_told() -> bool:
            lines = manage("leek_status").stdout.splitlines()
            is_silent = line_of(frozen, lines).endswith(", 0 task(s), does not answer from here")
            on = f": on (at localhost:{sound.port})"
            return is_silent and any(line.endswith(on) for line in lines)

        try:
            wait_until(lambda: answers() == {frozen.port: False, sound.port: True}, "the answers")
            wait_until(is_told, "the text")
        finally:
            frozen.thaw()

    def test_tells_which_server_is_stopping(
        self, start_server: StartServer, tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        server = start_server(LEEK_SHUTDOWN_TIMEOUT=str(GIVE_UP_AFTER))
        push_task_to_queue(tasks.wait_for, str(gate))
        wait_until(Path(f"{gate}.begun").exists, "the running task")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not client.ask("ping").ok, "the beginning of the stop")

        def is_told() -> bool:
            line = line_of(server, manage("leek_status").stdout.splitlines())
            return line.endswith(", 1 task(s), Worker off")

        wait_until(is_told, "the text")
        members = fleet.members()
        gate.touch()
        assert [member.place for member in members] == [Place("127.0.0.1", server.port)]
        assert server.wait() == 0

    def test_is_quick_however_many_servers_do_not_answer(
        self, ports: tuple[int, int], transactional_db: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []
        released = threading.Event()

        def ask(question: str, at: list[Place], patience: float) -> None:
            asked.append((at, patience))
            released.wait()

        monkeypatch.setattr(client, "ask_in_turn", ask)
        monkeypatch.setattr(fleet, "PATIENCE", 0.01)
        places = [Place("127.0.0.1", port) for port in range(1, 101)]
        try:
            assert fleet.ask_each(places) == {}
        finally:
            released.set()
        assert sorted(asked) == [([place], 0.01) for place in places]

    @pytest.mark.django_db(transaction=True)
    def test_tells_that_there_is_no_way_to_a_server(self, ports: tuple[int, int]) -> None:
        a_server(port=0)
        a_server(port=1, host="another")
        assert answers() == {0: None, 1: False}
        lines = manage("leek_status").stdout.splitlines()
        assert [line.partition("task(s)")[2] for line in lines if line.startswith("Server ")] == [
            "",
            ", does not answer from here",
        ]
        assert f"Worker at localhost:{ports[0]}, localhost:{ports[1]}: no server" in lines


def line_of(server: LeekServer, lines: list[str]) -> str:
    """Return the line about a server."""
    (line,) = (line for line in lines if f":{server.port}, process" in line)
    return line


@pytest.mark.django_db
def test_the_live_page_asks_no_server(
    admin_client: Client, ports: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_server(port=ports[0])
    tried: list[object] = []
    monkeypatch.setattr(socket, "create_connection", lambda *args, **kwargs: tried.append(args))
    assert admin_client.get(reverse("admin:leek_live")).status_code == 200
    assert tried == []


@pytest.mark.django_db
class TestWhereAServerIsReached:
    """A server's row tells where it listens, and its host who can get there."""

    @pytest.mark.parametrize(
        ("address", "host", "place"),
        [
            ("127.0.0.1", None, Place("127.0.0.1", 1)),
            ("10.0.0.5", None, Place("10.0.0.5", 1)),
            ("10.0.0.5", "another", Place("10.0.0.5", 1)),
            ("0.0.0.0", None, Place("localhost", 1)),
            ("::", "another", Place("another", 1)),
            ("127.0.0.1", "another", None),
            ("127.0.1.1", "another", None),
            ("::1", "another", None),
        ],
    )
    def test_from_here(self, address: str, host: str | None, place: Place | None) -> None:
        assert leases.reachable_at(a_server(address, host=host)) == place

    def test_is_nowhere_where_it_does_not_listen(self) -> None:
        server = a_server("0.0.0.0", port=0)
        assert leases.reachable_at(server) is None
        assert server not in leases.listening()

    def test_a_task_of_a_server_out_of_reach_is_not_cancelled_by_another(self, port: int) -> None:
        row = push_task_to_queue(tasks.noop)
        claim(row.pk, a_server(port=port, host="another"))
        with black_hole(port):  # who asked the one here would wait
            assert not row.cancel()


def claim(task_id: int, server: Servers) -> None:
    """Have a server claim a task."""
    assert [task.id for task in lifecycle.claim(server.pk, 1, 1, None)] == [task_id]


@pytest.mark.django_db
class TestExplaining:
    """A task that waits is told by all places."""

    def test_names_all_places_at_which_no_server_is(self, ports: tuple[int, int]) -> None:
        first, second = ports
        row = push_task_to_queue(tasks.noop)
        for port in ports:
            a_server(port=port)  # they were killed
        told = explain(row.pk, lambda: False).explanation
        assert told == f"waiting: no server is listening at localhost:{first}, localhost:{second}"
        a_server(port=free_port())
        assert "no server" not in explain(row.pk, lambda: False).explanation
