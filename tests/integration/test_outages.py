"""Tasks that require a service wait while it is down, and nothing else does."""

import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from leek.api import push_many, push_task_to_queue, using
from leek.exceptions import TaskFailed
from leek.models import Gates, QueuedTasks
from tests.conftest import StartServer
from tests.site import policies, tasks
from tests.support import LeekServer, free_port, wait_until

pytestmark = pytest.mark.django_db

SMTP_SITE = "tests.smtp_site"


class Mailbox:
    """A mail server that can be away, and what was sent to it."""

    def __init__(self) -> None:
        self.port = free_port()
        self.received: Counter[str] = Counter()
        self._controller: Controller | None = None

    async def handle_DATA(  # noqa: N802 (aiosmtpd's name for it)
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Take a mail."""
        self.received.update(envelope.rcpt_tos)
        return "250 OK"

    def start(self) -> None:
        """Listen."""
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def stop(self) -> None:
        """Be away."""
        if self._controller:
            self._controller.stop()
            self._controller = None


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """Return a mail server that is away."""
    mailbox = Mailbox()
    yield mailbox
    mailbox.stop()


def wait_until_blocked(number: int) -> None:
    """Wait until so many tasks wait at gates."""
    wait_until(lambda: QueuedTasks.objects.blocked().count() == number, "blocked tasks")


def at_smtp_site(mailbox: Mailbox) -> dict[str, str]:
    """Return what makes a server send its mails to this one."""
    return {"DJANGO_SETTINGS_MODULE": SMTP_SITE, "TESTS_SMTP_PORT": str(mailbox.port)}


@pytest.mark.parametrize("arguments", [(), ("--isolate",)])
def test_mails_wait_for_their_server_and_others_do_not(
    start_server: StartServer, mailbox: Mailbox, arguments: tuple[str, ...]
) -> None:
    server = start_server(*arguments, **at_smtp_site(mailbox))
    rows = push_many([(policies.mail, (f"{n}@example.com",), {}) for n in range(30)])
    wait_until_blocked(30)
    assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
    mailbox.start()
    for row in rows:
        row.wait(60)
    assert set(mailbox.received.values()) == {1}
    assert len(mailbox.received) == 30
    assert {(row.tries, row.crashes) for row in rows} == {(1, 0)}
    assert server.log.count("Waiting for smtp: ConnectionRefusedError") == 1
    assert server.log.count("smtp works again, after") == 1


def test_an_outage_in_the_middle_costs_no_try(start_server: StartServer, mailbox: Mailbox) -> None:
    mailbox.start()
    start_server(**at_smtp_site(mailbox))
    push_task_to_queue(policies.mail, "first@example.com").wait(60)
    mailbox.stop()
    # This was checked a moment ago, so the task is what finds out.
    row = push_task_to_queue(policies.mail, "second@example.com")
    wait_until_blocked(1)
    mailbox.start()
    row.wait(60)
    assert row.tries == 1
    assert mailbox.received == {"first@example.com": 1, "second@example.com": 1}


def test_all_can_see_what_is_waited_for(start_server: StartServer, mailbox: Mailbox) -> None:
    start_server(**at_smtp_site(mailbox))
    row = push_task_to_queue(policies.mail, "a@example.com")
    gate = wait_until(lambda: Gates.objects.filter(name="smtp").exclude(closed_since=None).first())
    assert gate.reason.startswith("ConnectionRefusedError: ")
    mailbox.start()
    row.wait(60)
    wait_until(lambda: Gates.objects.filter(name="smtp", closed_since=None, reason=""))


def test_tasks_go_on_after_a_restart(start_server: StartServer, mailbox: Mailbox) -> None:
    server = start_server(**at_smtp_site(mailbox))
    rows = [push_task_to_queue(policies.mail, f"{n}@example.com") for n in range(5)]
    wait_until_blocked(5)
    server.kill()
    mailbox.start()
    start_server(**at_smtp_site(mailbox))
    for row in rows:
        row.wait(60)
    assert len(mailbox.received) == 5


def test_a_second_server_sees_for_itself(start_server: StartServer, mailbox: Mailbox) -> None:
    start_server(**at_smtp_site(mailbox))
    start_server(port=free_port(), **at_smtp_site(mailbox))
    rows = push_many([(policies.mail, (f"{n}@example.com",), {}) for n in range(20)])
    wait_until_blocked(20)
    mailbox.start()
    for row in rows:
        row.wait(60)
    assert set(mailbox.received.values()) == {1}


@pytest.fixture
def own_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that a check of the site looks for."""
    monkeypatch.setenv("LEEK_TEST_GATE", str(tmp_path / "gate"))
    return tmp_path / "gate"


@pytest.mark.parametrize("arguments", [(), ("--isolate",)])
def test_a_site_has_checks_of_its_own(
    start_server: StartServer, own_gate: Path, arguments: tuple[str, ...]
) -> None:
    start_server(*arguments)
    row = push_task_to_queue(policies.behind_the_gate, 7)
    wait_until_blocked(1)
    own_gate.touch()
    assert row.wait(60) == 7


def test_async_tasks_wait_too(start_server: StartServer, own_gate: Path) -> None:
    start_server()
    row = using(requires=policies.gate_is_open).push(tasks.add_slowly, 1, 2)
    wait_until_blocked(1)
    own_gate.touch()
    assert row.wait(60) == 3


def test_a_push_requires_services_of_its_own(start_server: StartServer) -> None:
    start_server()
    port = free_port()
    row = using(requires=[f"tcp:127.0.0.1:{port}", "database:default", "cache:default"]).push(
        tasks.add, 1, 2
    )
    wait_until_blocked(1)
    with socket.create_server(("127.0.0.1", port)):
        assert row.wait(60) == 3


def test_a_setting_requires_services_of_all_tasks(start_server: StartServer) -> None:
    port = free_port()
    start_server(LEEK_REQUIRES=f"tcp:127.0.0.1:{port}")
    row = push_task_to_queue(tasks.add, 1, 2)
    wait_until_blocked(1)
    exempt = using(requires=[]).push(tasks.add, 3, 4)
    assert exempt.wait(60) == 7
    with socket.create_server(("127.0.0.1", port)):
        assert row.wait(60) == 3


@pytest.mark.logs_errors
def test_an_error_that_is_no_services_fault_is_a_failed_try(start_server: StartServer) -> None:
    with socket.create_server(("127.0.0.1", port := free_port())):
        start_server()
        required = using(requires=[f"tcp:127.0.0.1:{port}"], max_retries=1)
        row = required.push(policies.fail_beside, port)
        with pytest.raises(TaskFailed, match="as asked"):
            row.wait(60)


@pytest.mark.logs_errors
def test_an_error_of_a_connection_to_something_else_is_a_failed_try(
    start_server: StartServer,
) -> None:
    with socket.create_server(("127.0.0.1", port := free_port())):
        start_server()
        required = using(requires=[f"tcp:127.0.0.1:{port}"], max_retries=1)
        row = required.push(policies.connect, free_port())
        with pytest.raises(TaskFailed, match="ConnectionRefusedError"):
            row.wait(60)


@pytest.mark.logs_errors
def test_a_check_that_does_not_import_is_a_service_that_is_down(
    start_server: StartServer,
) -> None:
    server = start_server()
    using(requires="nowhere.check").push(tasks.add, 1, 2)
    wait_until_blocked(1)
    assert "Waiting for nowhere.check: CallableNotFound: nowhere.check does not" in server.log


def test_a_drain_does_not_wait_for_a_service(start_server: StartServer, own_gate: Path) -> None:
    push_task_to_queue(policies.behind_the_gate, 7)
    server = start_server("--drain", wait=False)
    assert server.wait() == 0
    wait_until_blocked(1)


def test_a_stop_does_not_wait_for_a_service(start_server: StartServer, own_gate: Path) -> None:
    server: LeekServer = start_server()
    push_task_to_queue(policies.behind_the_gate, 7)
    wait_until_blocked(1)
    assert server.terminate() == 0
