"""The demo site, run as a visitor and its owner run it: in processes of its own.

Its database is a file of SQLite as in a fresh clone, but for one test.
"""

import html
import json
import os
import re
import signal
import smtplib
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from email.message import EmailMessage
from http.cookiejar import CookieJar
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
from demo.hundred import COUNT, Delivery, compose, verify
from demo.ports import is_free
from demo.sink import Mail, MailSink
from django.core.management.base import CommandError
from django.db import connection

from leek.models import SuccessTasks
from tests.demo_site import LEEK_SERVER, MAIL_SINK, MANAGE, SITE, DemoProcess, site
from tests.support import GIVE_UP_AFTER, ROOT, free_port, python, wait_until


class Visitor:
    """A browser without JavaScript."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.opener = build_opener(HTTPCookieProcessor(CookieJar()))

    def get(self, path: str = "") -> str:
        with self.opener.open(self.site + path, timeout=GIVE_UP_AFTER) as response:
            return str(response.read().decode())

    def submit(self, path: str, **fields: str) -> str:
        """Send a form of the page, and return the page it leads to."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get())
        assert token
        data = urlencode({"csrfmiddlewaretoken": token[1], **fields}).encode()
        with self.opener.open(self.site + path, data, timeout=GIVE_UP_AFTER) as response:
            return str(response.read().decode())

    def tasks(self) -> list[dict[str, Any]]:
        return list(json.loads(self.get("tasks.json"))["tasks"])

    def newest(self, name: str) -> int:
        return int(next(task["id"] for task in self.tasks() if task["name"] == name))

    def await_status(self, number: int, status: str) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            task = next(task for task in self.tasks() if task["id"] == number)
            return task if task["status"] == status else None

        return wait_until(reached, status)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoProcess]:
    """A demo that several tests visit."""
    folder = tmp_path_factory.mktemp("demo")
    running = DemoProcess(folder, TMPDIR=str(folder))  # a test's own would end before it
    yield running
    running.close()


@pytest.fixture
def own_demo(tmp_path: Path) -> Iterator[DemoProcess]:
    """A demo that the test may stop."""
    running = DemoProcess(tmp_path)
    yield running
    running.close()


@pytest.fixture
def visitor(demo: DemoProcess) -> Visitor:
    return Visitor(demo.find(SITE)[1])


def test_a_mail_is_pushed_by_the_form_and_arrives(demo: DemoProcess, visitor: Visitor) -> None:
    page = visitor.submit("mail/", recipient="jo@example.com", subject="Hi", message="Hi Jo")
    assert "django.core.mail.send_mail" in page
    number = visitor.newest("django.core.mail.send_mail")
    assert visitor.await_status(number, "SUCCESSFUL")["outcome"] == "returned 1"
    demo.find(r"to jo@example\.com: Hi")


def test_a_slow_task_is_seen_running_and_then_done(demo: DemoProcess, visitor: Visitor) -> None:
    with demo.holding():
        visitor.submit("slow/", seconds="2")
        number = visitor.newest("demo.tasks.count_slowly")
        visitor.await_status(number, "RUNNING")
    assert "counted to 2" in visitor.await_status(number, "SUCCESSFUL")["outcome"]


def test_a_failing_task_is_tried_three_times(visitor: Visitor) -> None:
    visitor.submit("failing/")
    task = visitor.await_status(visitor.newest("demo.tasks.fail"), "FAILED")
    assert task["tries"] == 3
    assert "RuntimeError: this task fails" in task["outcome"]


def test_the_page_reloads_itself_without_javascript_while_a_task_is_unfinished(
    demo: DemoProcess, visitor: Visitor
) -> None:
    refresh = '<noscript><meta http-equiv="refresh"'
    with demo.holding():
        assert refresh in visitor.submit("slow/", seconds="1")
    wait_until(lambda: refresh not in visitor.get())


def test_a_mail_without_an_address_is_refused_with_a_reason(visitor: Visitor) -> None:
    with pytest.raises(HTTPError) as refusal:
        visitor.submit("mail/", recipient="nobody", subject="What I wrote", message="Hi")
    with refusal.value as answer:
        page = html.unescape(answer.read().decode())
    assert answer.code == 422
    assert "Enter a valid email address." in page
    assert "What I wrote" in page


def test_a_form_without_its_token_is_refused(visitor: Visitor) -> None:
    with pytest.raises(HTTPError) as refusal:
        build_opener().open(visitor.site + "failing/", b"", timeout=GIVE_UP_AFTER)
    refusal.value.close()
    assert refusal.value.code == 403


def test_style_and_script_come_from_the_site_itself(visitor: Visitor) -> None:
    page = visitor.get()
    addresses = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert not [address for address in addresses if re.match(r"(\w+:)?//", address)]
    for path in re.findall(r'"/(static/[^"]+)"', page):
        assert visitor.get(path)


def test_the_admin_is_there(visitor: Visitor) -> None:
    assert "Log in" in visitor.get("admin/")


def test_a_hundred_mails_arrive_even_next_to_another_demo(demo: DemoProcess) -> None:
    ports = demo.ports()
    done = python(MANAGE, "demo", "--once", **demo.site)
    assert done.returncode == 0, done.stdout + done.stderr
    for pattern in (MAIL_SINK, LEEK_SERVER):
        found = re.search(pattern, done.stdout)
        assert found
        assert int(found[1]) not in ports
    assert re.search(
        r"100 mails pushed in \d+\.\d\d s, all 100 arrived \d+\.\d\d s after", done.stdout
    )


def test_a_fresh_clone_sends_a_hundred_mails(tmp_path: Path) -> None:
    done = python(MANAGE, "demo", "--once", **site(tmp_path / "db.sqlite3"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all 100 arrived" in done.stdout


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="the demo has a file of its own, as a fresh clone has"
)
def test_a_hundred_mails_arrive_on_each_server(transactional_db: None) -> None:
    url = urlsplit(os.environ["DATABASE_URL"])
    place = url._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    done = python(MANAGE, "demo", "--once", **site(place))
    assert done.returncode == 0, done.stdout + done.stderr
    assert SuccessTasks.objects.count() == COUNT


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_parts(own_demo: DemoProcess, number: signal.Signals) -> None:
    ports = own_demo.ports()
    own_demo.process.send_signal(number)
    assert own_demo.wait() == 0, own_demo.printed
    assert f"Stopped by {number.name}." in own_demo.printed
    assert all(map(is_free, ports))


@pytest.mark.parametrize(("part", "line"), [("leek_server", LEEK_SERVER), ("site", SITE)])
def test_a_part_that_dies_stops_the_others(own_demo: DemoProcess, part: str, line: str) -> None:
    ports = own_demo.ports()
    os.kill(int(own_demo.find(line).groups()[-1]), signal.SIGKILL)
    assert own_demo.wait() == 1
    assert f"{part} has ended with exit code -9" in own_demo.printed
    assert all(map(is_free, ports))


def test_taken_ports_are_left_alone(tmp_path: Path) -> None:
    with ExitStack() as stack:
        takers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        mail, leek, web = (str(taker.getsockname()[1]) for taker in takers)
        running = DemoProcess(tmp_path, EMAIL_PORT=mail, LEEK_TASKS_PORT=leek, SITE_PORT=web)
        stack.callback(running.close)
        for port, line in ((mail, f"{MAIL_SINK}.*"), (leek, LEEK_SERVER), (web, SITE)):
            assert f"(port {port} was taken)" in running.find(line)[0]
        assert not {mail, leek, web} & set(map(str, running.ports()))
        assert "<h1>" in Visitor(running.find(SITE)[1]).get()


def test_a_missing_mail_server_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "aiosmtpd.py").touch()  # hides the package and its modules
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = python(MANAGE, "demo", **site(tmp_path / "db.sqlite3"), PYTHONPATH=paths)
    assert done.returncode == 1
    assert 'pip install "django-leek[demo]"' in done.stderr


def test_the_settings_raise_no_warning(tmp_path: Path) -> None:
    done = python(MANAGE, "check", "--fail-level", "WARNING", **site(tmp_path / "db.sqlite3"))
    assert done.returncode == 0, done.stderr


def test_the_sink_takes_a_mail_as_it_was_sent() -> None:
    inbox: SimpleQueue[Mail] = SimpleQueue()
    port = free_port()
    message = EmailMessage()
    message["Subject"] = "Crème"
    message.set_content("Brûlée\n\nà la carte\n")
    with MailSink(port, inbox.put) as sink, smtplib.SMTP("127.0.0.1", port) as client:
        client.send_message(message, "a@example.com", ["b@example.com"])
        mail = inbox.get(timeout=GIVE_UP_AFTER)
    assert mail == Mail("a@example.com", "b@example.com", "Crème", "Brûlée\n\nà la carte")
    assert sink.mails == [mail]


@pytest.mark.django_db
@pytest.mark.parametrize("arrived", [slice(1, None), slice(None)], ids=["one lost", "not recorded"])
def test_a_mail_that_is_lost_or_not_recorded_is_not_overlooked(arrived: slice) -> None:
    mails = compose("run")
    delivery = Delivery(mails, tasks=[], pushed_after=0.1, arrived_after=0.2)
    with pytest.raises(CommandError, match=f"Of {COUNT} mails"):
        verify(delivery, mails[arrived])
