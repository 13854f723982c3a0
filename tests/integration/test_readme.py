"""The README is run: each of its examples, tables and commands is held against what leek does.

Every literal block has a name: the option `:name:`, or the comment in front of it. A test asks for
blocks by name with `executes`; a block that no test asks for fails `test_every_block_is_executed`.
"""

import ast
import configparser
import contextlib
import doctest
import email
import json
import logging
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import django
import pytest
from demo.management.commands import demo
from django.apps import apps
from django.core import mail
from django.core.management import load_command_class
from django.core.management.base import BaseCommand, CommandParser
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client, override_settings
from django.utils import timezone
from django.utils.module_loading import import_string
from docutils import nodes
from docutils.core import publish_doctree
from environ import Env
from prometheus_client.parser import text_string_to_metric_families as parsed_metrics

import leek
from leek import checks, conf, leases, lifecycle, serializer, signals, status
from leek.api import push_many, push_task_to_queue, using
from leek.celery.apps import celery_app, own_app
from leek.conf import DEFAULTS, config
from leek.context import restore
from leek.current import CurrentTask, enter
from leek.exceptions import TaskTimeout
from leek.explaining import REASONS
from leek.models import FailedTasks, Gates, QueuedTasks, State, SuccessTasks
from leek.schedule import Every, Schedule
from leek.server.configured import pool_options
from leek.signals import task_finished
from leek.task import Task
from leek.testing import run_pushed
from leek.urls import urlpatterns
from tests.benchmarks.peers import __main__ as peers
from tests.benchmarks.peers.bare import Bare
from tests.benchmarks.peers.catalogue import variants
from tests.conftest import StartServer
from tests.faults.chaos import __main__ as chaos
from tests.faults.development import Runserver
from tests.faults.hosts import __main__ as hosts
from tests.faults.outage import __main__ as outage
from tests.mailing import HAS_MAILERS, MailServer
from tests.settings import FRAMEWORK
from tests.site import tasks
from tests.site.tasks import fail, noop, tenant, wait_for
from tests.support import (
    GIVE_UP_AFTER,
    ROOT,
    LeekServer,
    finish,
    free_port,
    manage,
    python,
    wait_until,
)

pytestmark = pytest.mark.any_database

README, CHANGELOG = ROOT / "README.rst", ROOT / "CHANGELOG.rst"
COMMANDS = sorted(path.stem for path in ROOT.glob("leek/management/commands/leek_*.py"))
KINDS = {"console", "ini", "pycon", "python", "set-up", "text", "yaml"}


# Reading the README


@dataclass(frozen=True)
class Block:
    """A literal block: what kind of text it is, its name, and the text."""

    kind: str
    name: str
    text: str

    def session(self) -> list[tuple[str, str]]:
        """Return the commands of a console, each with what it prints."""
        assert self.kind == "console", self
        first, *parts = re.split(r"^\$ ", self.text, flags=re.MULTILINE)
        assert not first, self
        return [
            (command, output.strip()) for command, _, output in (p.partition("\n") for p in parts)
        ]


def parse(path: Path) -> nodes.document:
    """Return the document; raise where docutils has anything at all to say."""
    overrides = {
        "report_level": 1,
        "halt_level": 1,
        "syntax_highlight": "none",
        "_disable_config": True,
    }
    document = publish_doctree(path.read_text("utf-8"), settings_overrides=overrides)
    assert isinstance(document, nodes.document)
    return document


DOCUMENT = parse(README)


def block_of(node: nodes.literal_block) -> Block:
    """Return a literal block with its kind and its name."""
    if "code" in node["classes"]:
        (kind,) = [name for name in node["classes"] if name != "code"] or ["code"]
        return Block(kind, " ".join(node["names"]), node.astext())
    siblings = node.parent.children
    before = siblings[siblings.index(node) - 1]
    name = before.astext() if isinstance(before, nodes.comment) else ""
    return Block("set-up" if name else "literal", name, node.astext())


BLOCKS = [
    *map(block_of, DOCUMENT.findall(nodes.literal_block)),
    *(Block("doctest", "", node.astext()) for node in DOCUMENT.findall(nodes.doctest_block)),
]
EXECUTED: set[str] = set()


def executes(*names: str) -> pytest.MarkDecorator:
    """Give a test the blocks of these names, in the argument `blocks`."""
    EXECUTED.update(names)
    found = {block.name: block for block in BLOCKS}
    assert found.keys() >= set(names), f"README.rst has no block named {set(names) - found.keys()}"
    return pytest.mark.parametrize("blocks", [[found[name] for name in names]], ids=[names[0]])


def section(title: str) -> nodes.section:
    """Return the section of this title."""
    (found,) = [node for node in DOCUMENT.findall(nodes.section) if node[0].astext() == title]
    return found


def table(title: str) -> list[list[str]]:
    """Return the rows of the first table of a section, without its head."""
    body = next(section(title).findall(nodes.tbody))
    return [[cell.astext() for cell in row.children] for row in body.children]


def literals(root: nodes.Element) -> str:
    """Return what is set in type, inline or as a block."""
    return "\n".join(node.astext() for node in root.findall(is_literal))


def is_literal(node: nodes.Node) -> bool:
    """Tell whether a node is set in type, inline or as a block."""
    return isinstance(node, nodes.literal | nodes.literal_block)


# The site that the README builds


@dataclass(frozen=True)
class Site:
    """A Django site in a folder, as a newcomer has it."""

    folder: Path

    @property
    def settings(self) -> Path:
        """The settings as Django makes them, and what was added."""
        return self.folder / "mysite" / "settings.py"

    def environment(self, settings: str = "mysite.settings", **extra: str) -> dict[str, str]:
        """Return what makes `manage` and `LeekServer` work on this site."""
        paths = os.pathsep.join([str(ROOT), str(self.folder)])
        return {"DJANGO_SETTINGS_MODULE": settings, "PYTHONPATH": paths, **extra}

    def manage(self, *arguments: str) -> str:
        """Run a command of this site that succeeds, and return what it prints."""
        done = manage(*arguments, **self.environment())
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def add(self, block: Block) -> None:
        """Add a block of Python to the file that its first line names."""
        assert block.kind == "python", block
        heading = re.match(r"# (\S+\.py)\n", block.text)
        assert heading, f"the block {block.name} does not begin with the name of its file"
        file = self.settings if heading[1] == "settings.py" else self.folder / heading[1]
        file.parent.mkdir(exist_ok=True)
        with file.open("a") as stream:
            stream.write(f"\n\n{block.text}\n")

    def mails(self) -> list[Message]:
        """Return the mails that were sent; Django may write several into one file."""
        texts = [file.read_text() for file in sorted((self.folder / "mails").glob("*.log"))]
        mails = "".join(texts).split(f"{'-' * 79}\n")
        return [email.message_from_string(mail) for mail in mails if mail.strip()]


def new_site(folder: Path) -> Site:
    """Have Django make a site."""
    folder.mkdir(exist_ok=True)
    made = subprocess.run(
        [sys.executable, "-m", "django", "startproject", "mysite", str(folder)], check=False
    )
    assert made.returncode == 0
    return Site(folder)


@pytest.fixture
def site(tmp_path: Path, port: int) -> Site:
    """Return a new site that nothing was added to."""
    return new_site(tmp_path / "site")


@pytest.fixture
def start_site_server(site: Site, port: int, servers: list[LeekServer]) -> Callable[[], LeekServer]:
    """Return a function that starts the new site's server."""

    def start() -> LeekServer:
        server = LeekServer(port, site.folder / "server.log", **site.environment())
        servers.append(server)
        return server.wait_until_ready()

    return start


MAILS_TO_FILES = """
MAILS = BASE_DIR / "mails"
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": FILES, "OPTIONS": {"file_path": MAILS}}}
else:
    EMAIL_BACKEND, EMAIL_FILE_PATH = FILES, MAILS
"""
URLS = """
from django.urls import path
from members import views

urlpatterns = [
    path("ask/", views.ask),
    path("sign-up/", views.sign_up),
    path("welcome-again/<int:user_id>/", views.welcome_again),
    path("welcome-everybody/", views.welcome_everybody),
    path("remind/<int:user_id>/", views.remind),
]
"""


def add_members(site: Site, blocks: list[Block]) -> None:
    """Give the site leek, the members' app and a mail backend that writes files."""
    for block in blocks:
        site.add(block)
    with site.settings.open("a") as settings:
        settings.write('import django\nFILES = "django.core.mail.backends.filebased.EmailBackend"')
        settings.write(MAILS_TO_FILES)
    (site.folder / "members" / "__init__.py").touch()
    (site.folder / "mysite" / "urls.py").write_text(URLS)
    site.manage("migrate", "-v0")


# Running blocks


def arguments_of(command: str) -> list[str]:
    """Return what follows `python manage.py` in a command line."""
    python, script, *arguments = shlex.split(command)
    assert (python, script) == ("python", "manage.py"), command
    return arguments


def run_session(block: Block, **extra: str) -> list[str]:
    """Run the commands of a console, and return what each prints; none may fail."""
    printed = []
    for command, _ in block.session():
        done = manage(*arguments_of(command), **extra)
        assert not done.stderr, done.stderr
        printed.append(done.stdout.strip())
    return printed


def expected_of(block: Block) -> list[str]:
    """Return what the commands of a console print, as the README has it."""
    return [output for _, output in block.session()]


# The text as a whole


@pytest.mark.parametrize("path", [README, CHANGELOG], ids=["README", "CHANGELOG"])
def test_docutils_renders_it_without_a_word(path: Path, tmp_path: Path) -> None:
    assert parse(path).children
    page = tmp_path / "page.html"
    options = ("--report=1", "--halt=1", "--syntax-highlight=none")
    done = subprocess.run(
        [sys.executable, "-m", "docutils", *options, str(path), str(page)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "</html>" in page.read_text("utf-8")


def test_every_block_is_executed() -> None:
    assert {block.kind for block in BLOCKS} <= KINDS
    names = [block.name for block in BLOCKS]
    assert sorted(names) == sorted(EXECUTED)


def test_the_changelog_tells_of_this_version() -> None:
    titles = [node.astext() for node in parse(CHANGELOG).findall(nodes.title)]
    assert any(title.startswith(f"{leek.__version__} ") for title in titles)


# Install


@executes("install-package", "install-app", "install-tables", "install-server", "sqlite-example")
def test_four_steps_install_it(
    blocks: list[Block], site: Site, start_site_server: Callable[[], LeekServer], port: int
) -> None:
    package, app, tables, server, sqlite = blocks
    assert package.session() == [(f"pip install {setup_cfg()['metadata']['name']}", "")]
    site.add(app)
    assert "leek.W001" in site.manage("check")
    site.add(sqlite)
    site.manage("check", "--fail-level", "WARNING")
    ((migrate, _),) = tables.session()
    assert "Applying leek.0001_initial... OK" in site.manage(*arguments_of(migrate))
    ((serve, ready),) = server.session()
    assert arguments_of(serve) == ["leek_server"]
    running = start_site_server()
    assert ready.replace("8002", str(port)) in running.log
    assert "Pushed task 1." in site.manage("leek_push", "builtins.len", "--args", '["leek"]')
    wait_until(lambda: "builtins.len succeeded" in running.log, "the task")
    assert running.terminate() == 0


def setup_cfg() -> configparser.ConfigParser:
    """Return what setup.cfg says."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


# Push


VISIT = """
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from leek.models import QueuedTasks

client = Client(SERVER_NAME="localhost")
client.post("/ask/", {"question": "Where?"})
client.post("/sign-up/", {"name": "Ann", "email": "ann@example.com"})
print(client.get(f"/welcome-again/{User.objects.get().pk}/").content.decode())
print(client.get("/welcome-everybody/").content.decode())
client.get(f"/remind/{User.objects.get().pk}/")
try:
    with transaction.atomic():
        client.post("/sign-up/", {"name": "Bob", "email": "bob@example.com"})
        assert QueuedTasks.objects.filter(name="members.tasks.welcome").count() == 5
        raise RuntimeError
except RuntimeError:
    pass
"""


MEMBERS = (
    "push-from-a-view",
    "a-task",
    "push-in-a-transaction",
    "push-from-an-async-view",
    "push-many",
    "push-with-options",
)


@executes("install-app", "sqlite-example", *MEMBERS, "settings-example", "logging-example")
def test_the_views_push_and_the_server_mails(
    blocks: list[Block], site: Site, start_site_server: Callable[[], LeekServer]
) -> None:
    add_members(site, blocks)
    server = start_site_server()
    printed = site.manage("shell", "-v0", "-c", VISIT)
    assert re.search(r"^This is task \d+\.$", printed, re.MULTILINE)
    assert "1 mails are on their way." in printed
    wait_until(lambda: len(site.mails()) == 4, "four mails")
    wait_until(lambda: figures(site)["successful"] == 4, "four outcomes")
    assert figures(site)["deferred"] == 1
    assert figures(site)["servers"][0]["workers"] == 4  # as the block of settings says
    recipients = sorted(str(mail["To"]) for mail in site.mails())
    assert recipients == ["ann@example.com"] * 3 + ["office@example.com"]
    assert " INFO " not in server.log  # as the block of logging says
    assert server.terminate() == 0


def figures(site: Site) -> dict[str, Any]:
    """Return what `leek_status --json` says of a site whose Worker is on."""
    return dict(json.loads(site.manage("leek_status", "--json")))


@pytest.mark.logs_errors
@executes("results-example", "cancel-example", "refused")
def test_results_are_returned_and_mistakes_are_refused(
    blocks: list[Block], start_server: StartServer
) -> None:
    start_server(LEEK_RETRY_DELAY="0")
    run_as_typed(blocks)


@executes("unique-tasks")
def test_a_unique_task_is_pushed_once(blocks: list[Block], transactional_db: None) -> None:
    run_as_typed(blocks)
    assert QueuedTasks.objects.count() == 2


def run_as_typed(blocks: list[Block]) -> None:
    """Type what is in these blocks into one console of Python, and compare what it prints."""
    assert all(block.kind == "pycon" for block in blocks)
    text = "\n".join(block.text for block in blocks)
    example = doctest.DocTestParser().get_doctest(
        text, {"__name__": "a_console"}, "README", str(README), 0
    )
    assert example.examples
    failures: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    runner.run(example, out=failures.append)
    assert not failures, "".join(failures)


# Policies


POLICIES = """
import django
from django.contrib.auth.models import User
from django.test import Client
from leek.api import push_task_to_queue, using
from leek.models import QueuedTasks
from members import tasks

user = User.objects.create_user("Ann", "ann@example.com")
rows = {
    "busy": using(retry_delay=0).push(tasks.fetch, "http://127.0.0.1:%(port)d/busy"),
    "gone": push_task_to_queue(tasks.fetch, "http://127.0.0.1:%(port)d/gone"),
    "retired": push_task_to_queue(tasks.retire, user.pk),
    "invited": push_task_to_queue(tasks.invite, "bob@example.com"),
    "printed": push_task_to_queue(tasks.print_badge, "Ann"),
    "exported": push_task_to_queue(tasks.export, user.pk, 2026),
    "sent": push_task_to_queue(tasks.send_newsletter, user.pk),
}
Client(SERVER_NAME="localhost").get("/fetch-now/", {"url": "http://127.0.0.1:%(port)d/busy"})
for name, row in rows.items():
    try:
        print(name, row.queue, row.wait(60), row.tries)
    except Exception as error:
        print(name, row.queue, error, row.tries)
row = QueuedTasks.objects.filter(name="members.tasks.fetch").last()
print(row.name, row.queue, row.payload.count("max_retries"))
"""


class Busy(BaseHTTPRequestHandler):
    """Has something to fetch at the second try, and something that is gone."""

    asked = 0

    def do_GET(self) -> None:
        """Answer."""
        type(self).asked += self.path == "/busy"
        code = {"/gone": 410, "/busy": 503 if self.asked == 1 else 200}.get(self.path, 200)
        self.send_response(code)
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(b"here it is")

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.mark.logs_errors
@executes(
    "install-app",
    "sqlite-example",
    *MEMBERS,
    "policy-example",
    "policy-at-the-push",
    "atomic-example",
    "requires-example",
    "limits-example",
)
def test_policies_do_what_they_say(
    blocks: list[Block], site: Site, start_site_server: Callable[[], LeekServer]
) -> None:
    add_members(site, blocks)
    with (site.folder / "mysite" / "urls.py").open("a") as urls:
        urls.write('urlpatterns.append(path("fetch-now/", views.fetch_now))\n')
    tasks = site.folder / "members" / "tasks.py"
    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as web:
        threading.Thread(target=web.serve_forever).start()
        port = web.server_address[1]
        tasks.write_text(tasks.read_text().replace("6310", str(port)))
        start_site_server()
        printed = site.manage("shell", "-v0", "-c", POLICIES % {"port": port})
        web.shutdown()
    assert [line for line in printed.splitlines() if line and "Warning" not in line] == [
        "busy slow here it is 2",
        "gone slow leek.exceptions.GiveUp: it is gone 1",
        "retired default None 1",
        "invited default None 1",
        "printed default Ann is printed. 1",
        "exported default 2026 of 1 1",
        "sent default None 1",
        "members.tasks.fetch default 1",
    ]
    wait_until(lambda: len(site.mails()) == 3, "three mails")
    subjects = sorted(str(mail["Subject"]) for mail in site.mails())
    assert subjects == ["Goodbye", "Join us", "Welcome"]


# Django's tasks

ENQUEUED = """
from leek.models import QueuedTasks
from members import tasks

results = [
    tasks.count_words.enqueue("one two"),
    tasks.invite_at_once("ann@example.com"),
    tasks.invite_by_mail.enqueue("bob@example.com"),
]
for result in results:
    row = QueuedTasks.objects.get(pk=result.id)
    row.wait(60)
    result.refresh()
    print(row.name, row.queue, result.backend, result.status, row.payload.count("timeout"))
"""


def of_this_framework(blocks: list[Block]) -> list[Block]:
    """Return blocks as one has them who uses the package that backports the framework."""
    return [
        replace(block, text=block.text.replace("from django.tasks", f"from {FRAMEWORK}"))
        for block in blocks
    ]


def add_members_with_tasks(site: Site, blocks: list[Block]) -> None:
    """Give the site also what it needs for Django's tasks."""
    if FRAMEWORK == "django_tasks":
        with site.settings.open("a") as settings:
            settings.write('\nINSTALLED_APPS += ["django_tasks"]\n')
    add_members(site, of_this_framework(blocks))


@executes(
    "install-app", "sqlite-example", *MEMBERS, "tasks-setting", "tasks-example", "enqueue-example"
)
def test_tasks_of_django_are_run(
    blocks: list[Block], site: Site, start_site_server: Callable[[], LeekServer]
) -> None:
    *code, console = blocks
    add_members_with_tasks(site, code)
    start_site_server()
    # Who types is not as fast as a test.
    waiting = console.text.replace(">>> result.refresh()\n", f"{WAITING}>>> result.refresh()\n")
    script = site.folder / "session.py"
    script.write_text(
        "import django, doctest\ndjango.setup()\n"
        f"found = doctest.DocTestParser().get_doctest({waiting!r}, {{}}, 'README', None, 0)\n"
        "assert not doctest.DocTestRunner().run(found).failed\n"
    )
    done = python(str(script), **site.environment())
    assert done.returncode == 0, done.stdout + done.stderr


WAITING = """\
>>> from leek.models import QueuedTasks
>>> QueuedTasks.objects.get(pk=result.id).wait(60)
5
"""


@executes(
    "install-app",
    "sqlite-example",
    *MEMBERS,
    "tasks-policies",
    "tasks-by-alias",
    "tasks-aliases",
    "tasks-example",
)
def test_tasks_of_django_have_policies(
    blocks: list[Block], site: Site, start_site_server: Callable[[], LeekServer]
) -> None:
    if django.VERSION < (6, 1):  # it takes no policies in the decorator
        in_decorator = '@task(max_retries=5, timeout=30, requires=["smtp"])'
        blocks = [replace(b, text=b.text.replace(in_decorator, "@task")) for b in blocks]
    add_members_with_tasks(site, blocks)
    start_site_server()
    printed = site.manage("shell", "-v0", "-c", ENQUEUED)
    assert [line for line in printed.splitlines() if line.startswith("members")] == [
        "members.tasks.count_words default default SUCCESSFUL 0",
        "members.tasks.invite_by_mail urgent mail SUCCESSFUL 1",
        "members.tasks.invite_by_mail default mail SUCCESSFUL 0",
    ]
    wait_until(lambda: len(site.mails()) == 2, "two mails")
    assert "SUCCESSFUL" in site.manage(
        "shell",
        "-v0",
        "-c",
        "from members.tasks import remind_by_mail as t; from leek.models import QueuedTasks;"
        "r = t.enqueue('cid@example.com'); QueuedTasks.objects.get(pk=r.id).wait(60); r.refresh();"
        "print(r.status)",
    )


# Mail

MAILS = """
from django.core import mail
from django.core.mail import EmailMessage, send_mail
from leek.models import QueuedTasks

print(send_mail("Hello", "Grüße", "shop@example.com", ["ann@example.com"]))
letter = EmailMessage("News", "None.", "shop@example.com", ["bob@example.com"])
if hasattr(mail, "mailers"):
    print(letter.send(using="news"))
else:
    print(mail.get_connection("members.mail.Newsletter").send_messages([letter]))
for row in QueuedTasks.objects.all():
    print(row.name, row.queue, row.priority, row.wait(60))
"""


@executes(
    "install-app",
    "sqlite-example",
    "mail-setting",
    "mail-mailers",
    "mail-options",
    "mail-options-of-a-mailer",
    "mail-of-errors",
)
def test_the_mails_of_a_site_are_pushed(
    blocks: list[Block], site: Site, start_site_server: Callable[[], LeekServer]
) -> None:
    app, sqlite, setting, mailers, subclass, mailer, errors = blocks
    used = [mailers, mailer, errors] if HAS_MAILERS else [setting, errors]
    for block in (app, sqlite, *used, subclass):
        site.add(block)
    (site.folder / "members" / "__init__.py").touch()
    receiver = MailServer(free_port())
    with site.settings.open("a") as settings:
        settings.write(
            MAILERS_OF_TEST % receiver.port if HAS_MAILERS else f"EMAIL_PORT = {receiver.port}"
        )
    assert "no issues" in site.manage("check")
    site.manage("migrate", "-v0")
    start_site_server()
    receiver.start()
    try:
        printed = site.manage("shell", "-v0", "-c", MAILS).splitlines()
    finally:
        receiver.stop()
    assert printed == ["1", "1", "leek.mail.deliver default 0 1", "leek.mail.deliver news -10 1"]
    recipients = sorted(each.recipients[0] for each in receiver.received)
    assert recipients == ["ann@example.com", "bob@example.com"]


MAILERS_OF_TEST = """
MAILERS["smtp"]["OPTIONS"] |= {"host": "127.0.0.1", "port": %d}
handler = LOGGING["handlers"]["mail_admins"]
handler["using"] = "smtp"
del handler["email_backend"]
"""


# What a task knows


@pytest.mark.django_db
@executes("context-variable", "context-setting")
def test_a_task_gets_the_context_variables_that_are_named(
    blocks: list[Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    variable, setting = blocks
    tenants = ModuleType("members.tenants")
    exec(variable.text, vars(tenants))
    monkeypatch.setitem(sys.modules, "members", ModuleType("members"))
    monkeypatch.setitem(sys.modules, "members.tenants", tenants)
    monkeypatch.setattr(tasks, "tenant", tenants.tenant)
    named: dict[str, Any] = {"MIDDLEWARE": []}
    exec(setting.text, named)
    (middleware,) = map(import_string, named["MIDDLEWARE"])
    with override_settings(TASKS_QUEUE=named["TASKS_QUEUE"] | {"EAGER": True}):
        assert not conf.wrong_values()
        answer = middleware(push_as(tenants.tenant, 42))(HttpRequest())
    assert json.loads(answer.content) == [answer["X-Request-ID"], 42]


def push_as(variable: ContextVar[int], value: int) -> Callable[[HttpRequest], HttpResponse]:
    """Return a view that sets a variable and pushes."""

    def view(request: HttpRequest) -> HttpResponse:
        variable.set(value)
        return JsonResponse(push_task_to_queue(tasks.surroundings).result[2:], safe=False)

    return lambda request: copy_context().run(view, request)


@executes("current-task")
def test_a_task_knows_its_last_try(blocks: list[Block]) -> None:
    told: list[Path] = []
    module: dict[str, Any] = {"read_members": Path.read_text, "tell_the_office": told.append}
    exec(blocks[0].text, module)
    missing = Path("nowhere")
    for is_last_try, after in ((False, 0), (True, 1), (None, 2)):
        with contextlib.suppress(OSError):
            Context().run(call_as, is_last_try, module["import_members"], missing)
        assert told == [missing] * after


def call_as(is_last_try: bool | None, function: Callable[[Path], None], path: Path) -> None:
    """Call a function as a task, at its last try or not; None: as no task."""
    if is_last_try is not None:
        enter(CurrentTask(4711, "import", 1, 3, is_last_try, timezone.now(), None))
    function(path)


@pytest.mark.django_db
@executes("task-progress", "row-progress")
def test_a_row_tells_how_far_its_task_is(
    blocks: list[Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, console = blocks
    letters: list[int] = []
    members = ModuleType("members.tasks")
    vars(members).update(write_letter=letters.append)
    exec(task.text, vars(members))
    monkeypatch.setitem(sys.modules, "members", ModuleType("members"))
    monkeypatch.setitem(sys.modules, "members.tasks", members)
    with override_settings(TASKS_QUEUE={"EAGER": True}):
        push_task_to_queue(members.write_letters, [7, 8, 9])
    assert letters == [7, 8, 9]
    assert_runs(console, QueuedTasks=QueuedTasks)


def assert_runs(console: Block, **names: object) -> None:
    """Assert that Python prints what a console shows."""
    assert console.kind == "pycon"
    example = doctest.DocTestParser().get_doctest(console.text, names, "README", str(README), 0)
    failures: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    runner.run(example, out=failures.append)
    assert not failures, "".join(failures)


# Try it


@executes("main command", "test command")
def test_the_two_set_up_commands_are_one_line_each(blocks: list[Block]) -> None:
    for block, extra in zip(blocks, ("demo", "test"), strict=True):
        assert block.kind == "set-up"
        assert "\n" not in block.text
        make_venv, install, run = block.text.split(" && ")
        assert make_venv == "python3 -m venv .venv"
        assert shlex.split(install) == [".venv/bin/pip", "install", "-q", "-e", f".[{extra}]"]
        assert extra in setup_cfg()["options.extras_require"]
        assert_runs_here(run)


def assert_runs_here(command: str) -> None:
    """Assert that a command line of the virtual environment names what there is."""
    python, *arguments = shlex.split(command)
    assert python == ".venv/bin/python"
    if arguments[:2] == ["-m", "pytest"]:
        assert arguments[2:] in ([], ["-n", "auto", "--dist", "loadfile"], ["tests/brokers"])
        return
    script, name, *options = arguments
    assert (script, name) == ("testproject/manage.py", "demo")
    assert (ROOT / script).is_file()
    demo.Command().create_parser("manage.py", "demo").parse_args(options)


@executes("open-the-demo")
def test_the_demo_is_started_by_a_command_that_exists(blocks: list[Block]) -> None:
    ((command, output),) = blocks[0].session()
    assert_runs_here(command)
    assert not output


@executes("test-on-postgresql", "test-on-mariadb")
def test_other_databases_are_named_by_extras_and_addresses_that_work(blocks: list[Block]) -> None:
    for block, extra in zip(blocks, ("postgresql", "mysql"), strict=True):
        (install, _), (run, _) = block.session()
        assert shlex.split(install)[-1] == f".[test,{extra}]"
        assert extra in setup_cfg()["options.extras_require"]
        assignment, command = run.split(" ", 1)
        variable, url = assignment.split("=", 1)
        assert variable in (ROOT / "tests" / "settings.py").read_text()
        assert Env.db_url_config(url)["ENGINE"] == f"django.db.backends.{extra}"
        assert_runs_here(command)


@executes("test-with-brokers")
def test_tests_with_brokers_are_run_by_a_command_that_exists(blocks: list[Block]) -> None:
    ((run, _),) = blocks[0].session()
    assignment, command = run.split(" ", 1)
    assert assignment == "TESTS_BROKERS=required"
    assert "TESTS_BROKERS" in (ROOT / "tests" / "brokers" / "conftest.py").read_text()
    assert_runs_here(command)


@executes("celery-engine")
def test_celery_as_the_engine_needs_only_these_settings(blocks: list[Block]) -> None:
    given: dict[str, Any] = {}
    exec(blocks[0].text, given)
    with override_settings(**{key: value for key, value in given.items() if key.isupper()}):
        assert config.ENGINE == "celery"
        assert not [*checks.check_settings(None), *checks.check_engine(None)]
        own_app.cache_clear()
        assert celery_app().conf.broker_url == given["CELERY_BROKER_URL"]
    own_app.cache_clear()


@executes("chaos")
def test_chaos_is_started_by_commands_that_exist(blocks: list[Block]) -> None:
    for command, output in blocks[0].session():
        python, flag, module, *arguments = shlex.split(command)
        assert (python, flag, module) == (".venv/bin/python", "-m", "tests.faults.chaos")
        assert chaos.parsed(arguments)
        assert not output


@executes("chaos-hosts")
def test_hosts_are_made_by_commands_that_exist(blocks: list[Block]) -> None:
    parsed = {"tests.faults.chaos": chaos.parsed, "tests.faults.hosts": hosts.parsed}
    for command, _ in blocks[0].session():
        python, flag, module, *arguments = shlex.split(command)
        assert (python, flag) == (".venv/bin/python", "-m")
        assert parsed[module](arguments)


@executes("mail-outage")
def test_an_outage_of_the_mail_server_is_made_by_a_command_that_exists(
    blocks: list[Block],
) -> None:
    ((command, _),) = blocks[0].session()
    python, flag, module, *arguments = shlex.split(command)
    assert (python, flag, module) == (".venv/bin/python", "-m", "tests.faults.outage")
    assert outage.parsed(arguments)


@executes("peers")
def test_peers_are_measured_by_commands_that_exist(blocks: list[Block]) -> None:
    (install, _), (measure, _) = blocks[0].session()
    python, flag, module, *arguments = shlex.split(measure)
    assert (python, flag, module) == (".venv/bin/python", "-m", "tests.benchmarks.peers")
    assert peers.parsed(arguments)
    *_, package, option, requirements = shlex.split(install)
    assert (package, option) == (".[test,postgresql,mysql]", "-r")
    assert (ROOT / requirements).is_file()


def test_the_table_of_peers_has_all_of_them() -> None:
    shown = {(queue, database) for queue, database, *_ in table("Beside other queues")}
    measured = {(one.peer.name, one.database) for one in variants([]) if one.peer is not Bare}
    assert shown == measured


def test_extras_named_in_the_text_exist() -> None:
    extras = set(re.findall(r"django-leek\[(\w+)\]", literals(DOCUMENT)))
    assert extras
    assert extras <= set(setup_cfg()["options.extras_require"])


def test_the_packages_said_to_be_tested_are_those_of_the_extra() -> None:
    lines = setup_cfg()["options.extras_require"]["packages"].split("\n")
    tested = {tuple(line.partition(";")[0].lower().split(">=")) for line in lines if line}

    text = section("Packages that use them").astext().lower()

    assert {*re.findall(r"(wagtail|django-[a-z-]+) (\d[\d.]*)", text)} == tested


# Settings


def test_the_settings_table_is_complete_and_right() -> None:
    described = {key: ast.literal_eval(default) for key, default, _ in table("Settings")}
    assert described == DEFAULTS


@pytest.mark.parametrize("key", DEFAULTS)
def test_every_setting_is_read_from_the_environment(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = {"EAGER": "true", "ISOLATE": "true", "RUNSERVER": "true"}
    texts = flags | {"QUEUES": "a,b", "SERIALIZER": "json", "DATABASE": "default"}
    texts |= {"ALIASES": "shop.mail=shop.post", "REQUIRES": "smtp,tcp:a:1", "ATOMIC_TASKS": "true"}
    texts["EMAIL_BACKEND"] = "django.core.mail.backends.console.EmailBackend"
    texts["SCHEDULE"] = '{"mail": {"task": "shop.mail", "every": 7}}'
    values: dict[str, object] = {"QUEUES": ["a", "b"], "EAGER": True, "ISOLATE": True}
    values |= {"ALIASES": {"shop.mail": "shop.post"}, "REQUIRES": ("smtp", "tcp:a:1")}
    values["ATOMIC_TASKS"] = values["RUNSERVER"] = True
    values["SCHEDULE"] = {"mail": Schedule("mail", "shop.mail", Every(timedelta(seconds=7)))}
    values["REDACT"] = ["7"]
    texts |= {"ENGINE": "celery", "CELERY_APP": "shop.celery:app"}
    texts["CONTEXT"] = "tests.site.tasks.tenant"
    values["CONTEXT"] = [("tests.site.tasks.tenant", tenant)]
    text = texts.get(key, "7")
    monkeypatch.setenv(f"LEEK_{key}", text)
    assert str(getattr(config, key)).removesuffix(".0") == str(values.get(key, text))


def test_flag_wins_over_dictionary_over_environment_over_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LEEK_WORKERS", raising=False)
    flags = ["--workers", "8"]
    assert workers_of([]) == 1
    monkeypatch.setenv("LEEK_WORKERS", "2")
    assert workers_of([]) == 2
    with override_settings(TASKS_QUEUE={"WORKERS": 4}):
        assert workers_of([]) == 4
        assert workers_of(flags) == 8


def workers_of(arguments: list[str]) -> int:
    """Return how many Workers `leek_server` has with these arguments."""
    return pool_options(vars(parsed("leek_server", arguments))).workers


@executes("another-host")
def test_another_host_is_named_by_a_setting(blocks: list[Block]) -> None:
    names: dict[str, Any] = {}
    exec(blocks[0].text, names)
    with override_settings(TASKS_QUEUE=names["TASKS_QUEUE"]):
        assert not conf.unknown_keys()
        assert not conf.wrong_values()
        assert config.TASKS_HOST == "10.0.0.5"


@executes("several-places")
def test_several_places_are_named_by_a_setting(blocks: list[Block]) -> None:
    names: dict[str, Any] = {}
    exec(blocks[0].text, names)
    with override_settings(TASKS_QUEUE=names["TASKS_QUEUE"]):
        assert not conf.unknown_keys()
        assert not conf.wrong_values()
        assert conf.places() == [("queue1", 8002), ("queue2", 8003)]


# Running


@executes("time-limit")
def test_a_task_is_interrupted_and_cleans_up(blocks: list[Block], begun: threading.Event) -> None:
    removed: list[int] = []

    def draw_pages(report_id: int) -> None:
        begun.set()
        while True:
            pass

    module = {"draw_pages": draw_pages, "remove_half_drawn_pages": removed.append}
    exec(blocks[0].text, module)
    with pytest.raises(TaskTimeout):
        Task(module["render"], (42,), {}).run(0.01)
    assert removed == [42]


ANNOUNCE = """
from leek.api import push_many
from members.tasks import announce

push_many([(announce, ("127.0.0.1", {port}, "hello"), {{}})] * {number})
"""


@executes("async-task")
def test_async_tasks_wait_side_by_side(
    blocks: list[Block], site: Site, start_site_server: Callable[[], LeekServer]
) -> None:
    number = 5
    (app,) = [block for block in BLOCKS if block.name == "install-app"]
    for block in (app, *blocks):
        site.add(block)
    (site.folder / "members" / "__init__.py").touch()
    site.manage("migrate", "-v0")
    start_site_server()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(GIVE_UP_AFTER)
        port = listening.getsockname()[1]
        site.manage("shell", "-v0", "-c", ANNOUNCE.format(port=port, number=number))
        callers = [listening.accept()[0] for _ in range(number)]  # before any is answered
        for caller in callers:
            with caller, caller.makefile("rw") as stream:
                assert stream.readline() == "hello\n"
                stream.write("heard\n")
    wait_until(lambda: figures(site)["successful"] == number, "the outcomes")


@executes("isolate")
def test_a_server_with_child_processes_works(
    blocks: list[Block], start_server: StartServer
) -> None:
    ((command, printed),) = blocks[0].session()
    name, *arguments = arguments_of(command)
    assert (name, printed) == ("leek_server", "leek_server is ready at localhost:8002")
    server = start_server(*arguments)
    assert push_task_to_queue(os.getpid).wait(60) != server.process.pid


@executes("aliases")
def test_aliases_are_spelt_alike_in_both_places(
    blocks: list[Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    names: dict[str, Any] = {}
    exec(blocks[0].text, names)
    (assignment,) = re.findall(r"LEEK_ALIASES=(\S+)", literals(DOCUMENT))
    monkeypatch.setenv("LEEK_ALIASES", assignment.rstrip(","))
    assert names["TASKS_QUEUE"] == {"ALIASES": config.ALIASES}


@executes("queues-by-name", "queues-by-weight", "queues-by-option")
def test_queues_are_spelt_alike_in_all_places(
    blocks: list[Block], start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    *settings, console = blocks
    texts = re.findall(r"LEEK_QUEUES=(\S*\*\S*)", literals(section("Queues")))
    for block, text in zip(settings, texts, strict=True):
        names: dict[str, Any] = {}
        exec(block.text, names)
        monkeypatch.setenv("LEEK_QUEUES", text)
        assert names["TASKS_QUEUE"] == {"QUEUES": config.QUEUES}
    ((command, printed),) = console.session()
    name, *arguments = arguments_of(command)
    assert (name, printed) == ("leek_server", "leek_server is ready at localhost:8002")
    assert parsed(name, arguments).queues == config.QUEUES
    start_server(*arguments)
    using(queue="mail-news").push(noop).wait(60)


@executes("pause-a-queue")
def test_a_queue_is_paused_and_resumed_from_a_shell(
    blocks: list[Block], transactional_db: None
) -> None:
    for command, expected in blocks[0].session():
        assert manage(*arguments_of(command)).stdout.strip() == expected


# Commands


def parser_of(command: str) -> CommandParser:
    """Return the parser of a management command of leek."""
    return load_command_class("leek", command).create_parser("manage.py", command)


def parsed(command: str, arguments: list[str]) -> Namespace:
    """Return the options of a command; SystemExit where it has none like that."""
    return parser_of(command).parse_args(arguments)


def options_of(command: str) -> set[str]:
    """Return the options that a command has of its own."""
    return every_option(parser_of(command)) - EVERY_COMMANDS


def every_option(parser: CommandParser) -> set[str]:
    """Return all long options of a parser."""
    strings = (string for action in parser._actions for string in action.option_strings)
    return {string for string in strings if string.startswith("--")}


EVERY_COMMANDS = every_option(BaseCommand().create_parser("manage.py", ""))
PAGES = {"leek_live"}  # of the admin


def test_the_options_of_leek_server_are_all_described() -> None:
    described = {option.split()[0] for option, _ in table("Running the server")}
    assert described == options_of("leek_server")


def test_options_and_commands_in_the_text_are_those_that_exist() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z-]+", literals(DOCUMENT)))
    own = {option for command in COMMANDS for option in options_of(command)}
    assert named >= own
    chaos_and_outage = {"--break", "--count", "--database", "--hosts", "--mails", "--minutes"}
    others = {
        "--seed",
        "--seeds",
        "--once",
        "--only",
        "--rounds",
        "--verbosity",
        "--dist",
        "--pool",
    }
    others |= chaos_and_outage
    assert named - own - options_of_others() <= others
    record = logging.makeLogRecord({})
    own_names = {name for name in vars(record) if name.startswith("leek_")} | table_names() | PAGES
    own_names |= {name for name, *_ in metrics_table()}
    assert set(re.findall(r"\bleek_[a-z_]+", literals(DOCUMENT))) - own_names == set(COMMANDS)


def options_of_others() -> set[str]:
    """Return the options of commands that are not leek's, where these are compared."""
    found = section("Moving in and out").findall(is_literal)
    commands = (node.astext() for node in found)
    others = " ".join(text for text in commands if not text.startswith(("leek_", "--")))
    return set(re.findall(r"(?<![\w-])--[a-z-]+", others))


def table_names() -> set[str]:
    """Return the names of the tables of the database."""
    return {model._meta.db_table for model in apps.get_app_config("leek").get_models()}


def test_the_tables_are_those_of_the_models() -> None:
    models = apps.get_app_config("leek").get_models()
    described = {(model, name) for model, name, _ in table("What is stored")}
    assert described == {(model.__name__, model._meta.db_table) for model in models}


@executes("systemd-unit")
def test_the_systemd_unit_starts_a_server_that_may_end_in_time(blocks: list[Block]) -> None:
    assert blocks[0].kind == "ini"
    unit = configparser.RawConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(blocks[0].text)
    assert set(unit) - {"DEFAULT"} == {"Unit", "Service", "Install"}
    service = unit["Service"]
    python, script, command, *options = shlex.split(service["ExecStart"])
    assert python == f"{service['WorkingDirectory']}/.venv/bin/python"
    assert (script, command) == ("manage.py", "leek_server")
    parsed(command, options)
    assert service["Restart"] == "always"
    assert int(service["TimeoutStopSec"]) > DEFAULTS["SHUTDOWN_TIMEOUT"]
    for assignment in shlex.split(service["Environment"]):
        assert assignment.split("=")[0].removeprefix("LEEK_") in DEFAULTS


@executes("install-app", "sqlite-example", "tasks-in-runserver")
def test_runserver_runs_tasks_in_its_own_process(
    blocks: list[Block], site: Site, port: int, servers: list[LeekServer]
) -> None:
    for block in blocks:
        site.add(block)
    site.manage("migrate", "-v0")
    log = site.folder / "runserver.log"
    servers.append(Runserver(port, log, "--noreload", **site.environment()))
    servers[0].wait_until_ready()
    said = "leek_server is ready at localhost:8002"
    assert said in literals(section("In development"))
    assert said.replace("8002", str(port)) in servers[0].log
    site.manage("leek_push", "os.getpid")
    wait_until(lambda: "Task 1 posix.getpid succeeded" in servers[0].log)


@executes("reloading-server")
def test_a_reloading_server_runs_tasks(blocks: list[Block], start_server: StartServer) -> None:
    [(command, _)] = blocks[0].session()
    name, *options = arguments_of(command)
    assert name == "leek_server"
    server = start_server(*options)
    push_task_to_queue(noop).wait(60)
    assert server.terminate() == 0


@executes("stopping-example")
def test_a_stopped_worker_says_so_and_a_stopped_server_is_gone(
    blocks: list[Block], start_server: StartServer
) -> None:
    server = start_server()
    assert run_session(blocks[0]) == expected_of(blocks[0])
    assert server.wait() == 0


@executes("stop-all")
def test_all_servers_are_stopped_by_one_command(
    blocks: list[Block], start_server: StartServer
) -> None:
    servers = [start_server(), start_server(port=free_port())]
    (printed,), (expected,) = run_session(blocks[0]), expected_of(blocks[0])
    assert [server.wait() for server in servers] == [0, 0]
    place = r"Server \S+ [0-9.]+:[0-9]+ "
    assert re.sub(place, "", printed) == re.sub(place, "", expected)


@pytest.mark.logs_errors
@executes("status-example", "status-at-a-glance", "status-as-json")
def test_status_prints_what_the_readme_shows(
    blocks: list[Block], start_server: StartServer, port: int, tmp_path: Path
) -> None:
    arguments = ("--workers", "4", "--queues", "default,mail")
    server = start_server(*arguments, LEEK_MAX_RETRIES="1")
    push_many([(noop, (), {})] * 860 + [(fail, (), {})] * 2)
    for _ in range(115):
        using(queue="reports").push(noop)
    for _ in range(3):
        using(run_after=timedelta(hours=1)).push(noop)
    blocked = using(queue="a queue that nobody serves", run_after=timedelta(hours=1))
    block(blocked.push_many([(noop, (), {})] * 1000))
    gate = tmp_path / "gate"
    push_task_to_queue(wait_for, str(gate))
    wait_until(Path(f"{gate}.begun").exists, "the running task")
    wait_until(lambda: SuccessTasks.objects.count() == 860, "860 successes")
    wait_until(lambda: FailedTasks.objects.count() == 2, "two failures")
    question, glance, as_json = blocks
    assert run_session(question) == expected_of(question)
    assert run_session(as_json) == expected_of(as_json)
    (printed,), (expected,) = run_session(glance), expected_of(glance)
    for shown, real in (
        ("8002", str(port)),
        ("web1", socket.gethostname()),
        ("4711", str(server.process.pid)),
    ):
        assert shown in expected
        expected = expected.replace(shown, real)
    assert without_age(printed) == without_age(expected)
    gate.touch()
    wait_until(lambda: SuccessTasks.objects.count() == 861, "the end of the running task")


def block(rows: list[QueuedTasks]) -> None:
    """Have tasks wait at the gate that the README shows."""
    lifecycle.note_outage("smtp", "[Errno 111] Connection refused")
    since = datetime(2026, 11, 25, 10, 4, 11, tzinfo=UTC)
    Gates.objects.update(closed_since=since)
    tasks = QueuedTasks.objects.filter(pk__in=[row.pk for row in rows])
    tasks.update(state=State.BLOCKED, blocked_by="smtp")


@executes("status-of-a-task")
def test_status_explains_a_task(blocks: list[Block], transactional_db: None, port: int) -> None:
    store(4711, 4712, name="members.tasks.welcome")
    deferred = QueuedTasks.objects.filter(pk=4712)
    deferred.update(state=State.DEFERRED, run_after=datetime(2026, 12, 24, 8, tzinfo=UTC))
    block(store(4713, name="members.tasks.remind"))
    expected = [text.replace("8002", str(port)) for text in expected_of(blocks[0])]
    assert run_session(blocks[0]) == expected


def without_age(text: str) -> str:
    """Return the output of `leek_status` without the age that it leads with."""
    text, replaced = re.subn(r"\AOldest waiting task: \d+\.\d s\n", "", text)
    assert replaced
    text = re.sub(r"the oldest for \d+\.\d s", "the oldest", text)
    return re.sub(r"\n  Task .*", "", text)  # not all that runs has done so for a second


def without_seconds(text: str) -> str:
    """Return a text without the figures that grow while a test runs."""
    return re.sub(r"[\d,]+\.\d s", "... s", text)


@executes("alarms-example")
def test_an_alarm_has_an_exit_code(blocks: list[Block], start_server: StartServer) -> None:
    ((command, expected),) = blocks[0].session()
    start_server("--queues", "other")
    (row,) = store(1)
    two_hours_ago = timezone.now() - timedelta(seconds=7260)
    QueuedTasks.objects.filter(pk=row.pk).update(run_after=two_hours_ago)
    answer = manage(*arguments_of(command))
    printed = answer.stdout.splitlines()[0].replace("7260", "7,260")
    assert answer.returncode == 3
    assert without_seconds(f"{printed}\n{answer.stderr.strip()}") == without_seconds(expected)


TYPES: dict[str, Callable[[Any], bool]] = {
    "number": lambda value: type(value) in (int, float),
    "text": lambda value: type(value) is str,
    "flag": lambda value: type(value) is bool,
    "list": lambda value: type(value) is list,
    "null": lambda value: value is None,
}


ENTRIES = (
    ("gates", status.GateFigures),
    ("servers", status.ServerFigures),
    ("servers", status.RunningFigures),
    ("schedules", status.ScheduleFigures),
    ("queues", status.QueueFigures),
)


def test_status_as_json_is_as_the_table_says(start_server: StartServer) -> None:
    start_server("--queues", "other")
    store(1)
    block(store(2))
    document = json.loads(manage("leek_status", "--json").stdout)
    rows = table("Status as JSON")
    assert [key for key, _, _ in rows] == list(document)
    for key, kinds, _ in rows:
        fits = [TYPES[kind] for kind in kinds.replace("true or false", "flag").split(" or ")]
        assert any(fit(document[key]) for fit in fits), key
    words = {key: set(re.findall(r"\w+", meaning)) for key, _, meaning in rows}
    for key, kind in ENTRIES:
        told = {spec.name for spec in fields(kind) if key != "servers" or spec.name != "place"}
        assert told <= words[key]
    assert set(document["servers"][0]) <= words["servers"]


def test_status_of_a_task_as_json_has_the_keys_that_are_named(
    transactional_db: None, port: int
) -> None:
    store(1)
    document = json.loads(manage("leek_status", "1", "--json").stdout)
    named = {node.astext() for node in section("Status as JSON").findall(nodes.literal)}
    assert set(document) <= named


def test_the_reasons_are_those_of_the_table() -> None:
    tables = list(section("Status as JSON").findall(nodes.tbody))
    named = {row.children[0].astext() for row in tables[1].children}
    assert named == set(REASONS)


@pytest.fixture
def members(site: Site) -> dict[str, str]:
    """Return an environment in which the tests' own site can import `members.tasks`."""
    (task,) = [block for block in BLOCKS if block.name == "a-task"]
    site.add(task)
    (site.folder / "members" / "__init__.py").touch()
    return site.environment("tests.settings")


@executes("push-from-a-shell")
def test_tasks_are_pushed_from_a_shell(
    blocks: list[Block], transactional_db: None, members: dict[str, str]
) -> None:
    pushed = []
    for command, expected in blocks[0].session():
        printed = manage(*arguments_of(command), **members).stdout.strip()
        assert re.sub(r"\d+", "N", printed) == re.sub(r"\d+", "N", expected)
        pushed.append(QueuedTasks.objects.get(pk=re.findall(r"\d+", printed)[0]))
    first, second = pushed
    assert {first.name, second.name} == {"members.tasks.welcome"}
    assert arguments_stored(first) == ([42], {})
    assert arguments_stored(second) == ([], {"user_id": 42})
    assert (second.queue, second.priority) == ("mail", 10)


def arguments_stored(row: QueuedTasks) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a row whose callable does not import in this process."""
    stored = json.loads(row.payload.rpartition(":")[0])
    return stored["args"], stored["kwargs"]


@executes("crontab")
def test_the_lines_of_the_crontab_do_what_they_say(
    blocks: list[Block], transactional_db: None, members: dict[str, str]
) -> None:
    assert blocks[0].kind == "text"
    ended = datetime(2020, 1, 1, tzinfo=UTC)
    finish(store(1), ended=ended)
    finish(store(2), "ValueError", ended=ended)
    assert QueuedTasks.objects.count() == 2
    for line in blocks[0].text.splitlines():
        found = re.fullmatch(
            r"(?:[\d*/,-]+ +){5} *cd (\S+) && \.venv/bin/python manage\.py (.*)", line
        )
        assert found, line
        done = manage(*shlex.split(found[2]), **members)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert QueuedTasks.objects.get().name == "members.tasks.welcome"


def store(
    *ids: int, name: str = "tests.site.tasks.noop", queue: str = "default"
) -> list[QueuedTasks]:
    """Push tasks under the ids that the README shows."""
    now = timezone.now()
    payload = serializer.dump_task(name, (), {}, "auto")
    return QueuedTasks.objects.bulk_create(
        QueuedTasks(
            pk=number, name=name, queue=queue, payload=payload, run_after=now, pushed_at=now
        )
        for number in ids
    )


@executes("purge-example")
def test_purge_deletes_what_it_says(blocks: list[Block], transactional_db: None) -> None:
    ended = datetime(2020, 1, 1, tzinfo=UTC)
    finish(store(*range(1, 861)), ended=ended)
    finish(store(861, 862), "ValueError", ended=ended)
    assert run_session(blocks[0]) == expected_of(blocks[0])
    assert not QueuedTasks.objects.exists()


@executes("purge-after")
def test_a_server_can_be_told_to_purge(blocks: list[Block], settings: Any) -> None:
    names: dict[str, Any] = {}
    exec(blocks[0].text, names)
    settings.TASKS_QUEUE = names["TASKS_QUEUE"]
    assert not conf.wrong_values()
    assert timedelta(days=7).total_seconds() == config.PURGE_AFTER


@executes("retry-failed")
def test_retry_failed_pushes_back_what_it_says(
    blocks: list[Block], start_server: StartServer
) -> None:
    start_server("--queues", "a queue that nobody pushes to")
    smtp = store(4711, 4712)
    finish(smtp, "smtplib.SMTPException", ended=datetime(2026, 11, 24, tzinfo=UTC))
    welcome = store(4713, name="members.tasks.welcome", queue="mail")
    finish(welcome, "ValueError", ended=datetime(2026, 10, 1, tzinfo=UTC))
    assert run_session(blocks[0]) == expected_of(blocks[0])
    assert QueuedTasks.objects.filter(state=State.READY).count() == 3


@executes("bench-example")
def test_bench_prints_a_table_like_the_one_shown(
    blocks: list[Block], transactional_db: None
) -> None:
    ((command, shown),) = blocks[0].session()
    printed = manage(*arguments_of(command), "--tasks", "40", "--pushes", "10")
    assert without_numbers(printed.stdout) == without_numbers(shown), printed.stderr


def without_numbers(text: str) -> list[str]:
    """Return the lines of a table without its figures, and without the names of databases."""
    return [
        re.sub(r" *[\d.,]+|SQLite|PostgreSQL|MariaDB|MySQL", "", line) for line in text.splitlines()
    ]


# Health and metrics


@executes("health-urls", "health-token", "health-example", "prometheus-scrape", "prometheus-rules")
@pytest.mark.django_db
def test_health_and_metrics_are_asked_for_as_shown(
    blocks: list[Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    urls, token, example, scrape, rules = blocks
    ((command, secret),) = token.session()
    printed = python(*shlex.split(command)[1:]).stdout.strip()
    assert len(printed) == len(secret)
    monkeypatch.setenv("LEEK_HEALTH_TOKEN", printed)
    site_urls = ModuleType("site_urls")
    exec(urls.text, vars(site_urls))
    with override_settings(ROOT_URLCONF=site_urls):
        assert_health_is_as_shown(example, printed)
        (path,) = re.findall(r"metrics_path: (\S+)", scrape.text)
        answer = Client().get(path, headers={"Authorization": f"Bearer {printed}"})
    families = {family.name: family for family in parsed_metrics(answer.content.decode())}
    described = {name.removesuffix("_total"): kind for name, kind, *_ in metrics_table()}
    assert described == {name: family.type for name, family in families.items()}
    used = {name.removesuffix("_total") for name in re.findall(r"\bleek_\w+", rules.text)}
    assert used <= families.keys()
    (file,) = re.findall(r"rule_files: \[(.+)\]", scrape.text)
    assert rules.text.startswith(f"# {file}\n")


def assert_health_is_as_shown(example: Block, token: str) -> None:
    """Ask as the README does about a queue like the one there."""
    ((command, output),) = example.session()
    curl, header, authorization, url = shlex.split(command)
    assert (curl, header) == ("curl", "-H")
    name, _, value = authorization.replace("$LEEK_HEALTH_TOKEN", token).partition(": ")
    leases.register(address="127.0.0.1", port=1, workers=1, queues=None, seconds=30)
    finish(push_many([(noop, (), {})] * 2), "ValueError")
    late = push_task_to_queue(noop)
    due_at = timezone.now() - timedelta(seconds=75)
    QueuedTasks.objects.filter(pk=late.pk).update(run_after=due_at)
    answer = Client().get(url.removeprefix("https://example.com"), headers={name: value})
    assert answer.status_code == 503
    seconds = re.compile(r"\d+\.\d+")
    assert seconds.sub("", answer.content.decode()) == seconds.sub("", output)


def metrics_table() -> list[list[str]]:
    """Return the rows of the table of metrics."""
    *_, body = section("Health and metrics").findall(nodes.tbody)
    return [[cell.astext() for cell in row.children] for row in body.children]


def test_the_table_of_paths_has_all_of_them() -> None:
    paths = [path for path, _ in table("Health and metrics")]
    assert sorted(paths) == sorted(str(entry.pattern) for entry in urlpatterns)


# Recurring tasks

MISS = """
from datetime import timedelta
from django.utils import timezone
from leek.models import Schedules

for name in ("clear sessions", "purge"):
    Schedules.objects.create(name=name, due_at=timezone.now() - timedelta(days=2))
"""


@executes("schedule")
def test_recurring_tasks_are_pushed_and_run(
    blocks: list[Block], site: Site, start_site_server: Callable[[], LeekServer]
) -> None:
    (app,) = [block for block in BLOCKS if block.name == "install-app"]
    for block in (app, *blocks):
        site.add(block)
    site.manage("migrate", "-v0")
    site.manage("shell", "-v0", "-c", MISS)
    start_site_server()
    wait_until(lambda: figures(site)["successful"] >= 2, "both tasks")  # the hour may be full
    cleared, purged = figures(site)["schedules"]
    assert (cleared["name"], purged["name"]) == ("clear sessions", "purge")
    assert re.fullmatch(r"....-..-..T..:00:00Z", cleared["last_due"])
    (shown,) = re.findall(r"Schedule purge: .*", literals(DOCUMENT))
    (line,) = re.findall(r"Schedule purge: .*", site.manage("leek_status"))
    assert re.sub(r"\d", "N", line) == re.sub(r"\d", "N", re.sub(r"\b4711\b", "1", shown))


def test_a_schedule_in_the_environment_is_spelt_as_the_text_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (text,) = re.findall(r"LEEK_SCHEDULE=(.*)", literals(DOCUMENT))
    monkeypatch.setenv("LEEK_SCHEDULE", text)
    assert config.SCHEDULE["hello"].args == (42,)


# Moving in and out


@pytest.mark.django_db
@executes("chain-and-chord")
def test_what_follows_a_group_waits_for_its_end(
    blocks: list[Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    members = ModuleType("members.tasks")
    exec("def invite_one(user_id): return user_id", vars(members))
    vars(members).update(tell_the_office=told.append)
    exec(blocks[0].text, vars(members))
    monkeypatch.setitem(sys.modules, "members", ModuleType("members"))
    monkeypatch.setitem(sys.modules, "members.tasks", members)
    late = using(run_after=timedelta(days=1)).push(members.invite_one, 7)
    push_task_to_queue(members.count_invited, [late.pk])
    run_pushed()
    assert not told
    run_pushed(include_deferred=True)
    assert told == [1]
    push_task_to_queue(members.invite_all, [7, 8])
    run_pushed()
    assert told == [1, 2]


SAY_HELLO = f"""
# members/greetings.py
from {FRAMEWORK} import task


@task()
def hello(name):
    return name
""".lstrip()
ENQUEUE = """
from datetime import timedelta
from django.utils import timezone
from members.greetings import hello

hello.enqueue("Ann")
tomorrow = timezone.now() + timedelta(days=1)
hello.using(run_after=tomorrow, priority=7).enqueue("Bob")
"""
AS_LEEK_HAS_IT = """
from leek.models import QueuedTasks

print(*QueuedTasks.objects.order_by("pk").values_list("name", "priority", "state"))
"""


def add_to_settings(site: Site, text: str) -> None:
    """Add lines to the settings of a site."""
    with site.settings.open("a") as settings:
        settings.write(f"\n{text}\n")


def add_greetings(site: Site, backend: str) -> None:
    """Give the site leek and a task of Django's framework."""
    (app,) = [block for block in BLOCKS if block.name == "install-app"]
    for block in (app, Block("python", "", SAY_HELLO)):
        site.add(block)
    (site.folder / "members" / "__init__.py").touch()
    add_to_settings(site, f'TASKS = {{"default": {{"BACKEND": "{backend}"}}}}')
    if django.VERSION < (6, 0):
        add_to_settings(site, 'INSTALLED_APPS += ["django_tasks"]')


def run_in_shell(site: Site, text: str) -> str:
    """Run what a reader pastes into a shell of the site, and return what it prints."""
    return site.manage("shell", "-v0", "-c", text.replace("django.tasks", FRAMEWORK))


LEEK_BACKEND = "leek.backend.LeekBackend"


@executes("move-from-django-tasks-db")
def test_what_waits_in_django_tasks_db_is_run_by_leek(blocks: list[Block], site: Site) -> None:
    if find_spec("django_tasks_db") is None:
        pytest.skip("django-tasks-db is not installed")
    add_greetings(site, "django_tasks_db.DatabaseBackend")
    add_to_settings(site, 'INSTALLED_APPS += ["django_tasks_db"]')
    site.manage("migrate", "-v0")
    run_in_shell(site, ENQUEUE)
    add_to_settings(site, f'TASKS["default"]["BACKEND"] = "{LEEK_BACKEND}"')
    run_in_shell(site, blocks[0].text)
    site.manage("leek_server", "--drain", "--port", "0")
    printed = run_in_shell(site, AS_LEEK_HAS_IT)
    hello = "members.greetings.hello"
    expected = {(hello, 0, State.SUCCESSFUL.value), (hello, 7, State.DEFERRED.value)}
    assert {str(row) for row in expected} == set(re.findall(r"\(.*?\)", printed))
    assert not run_in_shell(site, blocks[0].text + "\nassert not DBTaskResult.objects.exists()")


@executes("move-to-another-backend", "save-results", "remove-leek")
def test_another_backend_takes_over_what_waits(blocks: list[Block], site: Site) -> None:
    hand_over, save, remove = blocks
    add_greetings(site, LEEK_BACKEND)
    site.manage("migrate", "-v0")
    run_in_shell(site, ENQUEUE)
    dummy = f"{FRAMEWORK}.backends.dummy.DummyBackend"
    add_to_settings(site, f'TASKS = {{"default": {{"BACKEND": "{dummy}"}}}}')
    add_to_settings(site, f'TASKS["leek"] = {{"BACKEND": "{LEEK_BACKEND}"}}')
    site.manage("leek_server", "--drain", "--port", "0")
    report = 'for it in task_backends["default"].results: print(it.task.priority, it.args)'
    assert "7 ['Bob']" in run_in_shell(site, f"{hand_over.text}\n{report}")
    run_in_shell(site, f"import os; os.chdir({str(site.folder)!r})\n{save.text}")
    saved = (site.folder / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)[1:] for line in saved] == [["members.greetings.hello", "Ann"]]
    ((command, _),) = remove.session()
    assert "Unapplying leek.0001_initial... OK" in site.manage(*arguments_of(command))


@executes("install-app", *MEMBERS, "policy-example", "policy-at-the-push", "find-what-is-leeks")
def test_what_is_of_leek_is_found(blocks: list[Block], site: Site) -> None:
    *files, console = blocks
    for block in (*files, Block("python", "", SAY_HELLO.replace("task()", "task(timeout=30)"))):
        site.add(block)
    found = "".join(
        subprocess.run(
            command, shell=True, cwd=site.folder, capture_output=True, text=True, check=True
        ).stdout
        for command, _ in console.session()
    )
    wanted = re.compile(r"^from leek|\bpush|@policy|\busing\(|\bleek\b|timeout=30")
    lines = [line for file in site.folder.rglob("*.py") for line in file.read_text().splitlines()]
    assert all(line in found for line in lines if wanted.search(line))
    assert "send_mail(" not in found


# Testing code that pushes


@pytest.fixture
def visited_site(site: Site) -> Site:
    """Return the site with the views and tasks of the README, without Django's framework."""
    files = [block for block in BLOCKS if re.match(r"# members/(views|tasks)\.py", block.text)]
    views = [block for block in files if "django.tasks" not in block.text]
    (app,) = [block for block in BLOCKS if block.name == "install-app"]
    add_members(site, [app, *views])
    return site


@executes("testing-with-django", "eager")
def test_the_tests_of_code_that_pushes_pass(blocks: list[Block], visited_site: Site) -> None:
    for block in blocks:
        visited_site.add(block)
    printed = visited_site.manage("test", "members.tests")
    assert re.search(r"Ran 5 tests in .*\n\nOK", printed)


@executes("testing-with-pytest", "eager-fixture")
def test_the_tests_of_code_that_pushes_pass_with_pytest(
    blocks: list[Block], visited_site: Site
) -> None:
    for block in blocks:
        visited_site.add(block)
    folder = visited_site.folder
    done = python("-m", "pytest", f"--rootdir={folder}", str(folder), **visited_site.environment())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


# Signals


@pytest.mark.django_db
@executes("signal-receiver")
def test_a_receiver_tells_of_failures(blocks: list[Block]) -> None:
    names: dict[str, Any] = {}
    exec(blocks[0].text, names)
    try:
        with override_settings(TASKS_QUEUE={"EAGER": True}):
            push_task_to_queue(noop)
            row = push_task_to_queue(fail)
    finally:
        task_finished.disconnect(names["tell_of_failures"])
    (sent,) = mail.outbox
    assert sent.subject == f"Task {row.pk} has failed"
    assert sent.body == "tests.site.tasks.fail: ValueError: as asked"


def test_the_table_of_signals_has_all_of_them() -> None:
    known = {name for name, value in vars(signals).items() if isinstance(value, Signal)}
    assert {name for name, *_ in table("Signals")} == known


# Logging


@executes("logging-of-tasks")
def test_records_of_tasks_are_formatted_with_the_task(blocks: list[Block]) -> None:
    (logging_example,) = [block for block in BLOCKS if block.name == "logging-example"]
    names: dict[str, Any] = {}
    for block in (logging_example, *blocks):
        exec(block.text, names)
    settings = names["LOGGING"]
    assert settings["loggers"]["members"]["handlers"] == ["stderr"]
    chosen = settings["handlers"]["stderr"]["formatter"]
    format_record = logging.Formatter(settings["formatters"][chosen]["format"]).format

    def log() -> str:
        return format_record(
            logging.getLogger("members").makeRecord(
                "members", logging.INFO, "tasks.py", 1, "hello", (), None
            )
        )

    def log_in_a_task() -> str:
        enter(CurrentTask(4711, "members.tasks.welcome", 1, 3, False, timezone.now(), None))
        restore({"request_id": "7d1c"})
        return log()

    assert log() == "INFO None None hello"
    assert Context().run(log_in_a_task) == "INFO 4711 7d1c hello"


@pytest.mark.django_db
@executes("logs-of-attempts")
def test_what_a_task_has_logged_is_read_from_its_row(
    blocks: list[Block], capsys: pytest.CaptureFixture[str]
) -> None:
    with override_settings(TASKS_QUEUE={"EAGER": True}):
        row = push_task_to_queue(tasks.log, "hello")
    exec(blocks[0].text, {"row": row})
    assert capsys.readouterr().out == "1 WARNING shop They say hello\n"


# Tracing


@executes("install-app", "sqlite-example", "tracing-install", "tracing-set-up")
def test_a_site_with_opentelemetry_sees_its_tasks_in_traces(
    blocks: list[Block], site: Site, start_site_server: Callable[[], LeekServer]
) -> None:
    app, sqlite, install, set_up = blocks
    ((command, _),) = install.session()
    assert command == "pip install django-leek[opentelemetry] opentelemetry-sdk"
    for block in (app, sqlite, set_up):
        site.add(block)
    site.manage("migrate", "-v0")
    server = start_site_server()
    pushed = site.manage("leek_push", "builtins.len", "--args", '["leek"]')
    wait_until(lambda: "builtins.len succeeded" in server.log, "the task")
    assert server.terminate() == 0
    assert '"kind": "SpanKind.PRODUCER"' in pushed
    assert '"kind": "SpanKind.CONSUMER"' in server.log
    traces = [set(re.findall(r'"trace_id": "(\w+)"', text)) for text in (pushed, server.log)]
    assert len(traces[0]) == 1
    assert traces[0] == traces[1]


# Exit codes

Scenario = tuple[str, int, list[str], dict[str, str]]
SCENARIOS: list[Scenario] = [
    ("leek_server", 0, ["--drain", "--port", "0"], {}),
    ("leek_server", 1, [], {"LEEK_WORKERS": "0"}),
    ("leek_server", 2, [], {}),
    ("leek_server", 2, ["--workers", "0"], {}),
    ("leek_status", 0, [], {}),
    ("leek_status", 1, [], {"LEEK_TASKS_PORT": "worker off"}),
    ("leek_status", 1, [], {"LEEK_WORKERS": "0"}),
    ("leek_status", 2, [], {"LEEK_TASKS_PORT": "nobody"}),
    ("leek_status", 2, ["nonsense"], {}),
    ("leek_status <id>", 0, ["1"], {}),
    ("leek_status <id>", 1, ["4711"], {}),
    ("leek_status <id>", 2, ["0"], {}),
    ("leek_stop", 1, [], {"LEEK_WORKERS": "0"}),
    ("leek_stop", 2, [], {"LEEK_TASKS_PORT": "nobody"}),
    ("leek_stop", 2, ["--nonsense"], {}),
    ("leek_stop --all", 1, ["--all"], {"LEEK_WORKERS": "0"}),
    ("leek_stop --all", 2, ["--all", "--nonsense"], {}),
    ("leek_purge", 0, [], {}),
    ("leek_purge", 1, [], {"LEEK_WORKERS": "0"}),
    ("leek_purge", 2, ["--nonsense"], {}),
    ("leek_retry_failed", 0, [], {}),
    ("leek_retry_failed", 1, [], {"LEEK_WORKERS": "0"}),
    ("leek_retry_failed", 2, ["--nonsense"], {}),
    ("leek_push", 0, ["builtins.len", "--args", "[[]]"], {}),
    ("leek_push", 1, ["builtins.len"], {}),
    ("leek_push", 1, ["nowhere.to.be.found"], {}),
    ("leek_push", 1, ["builtins.len", "--args", "[[]]"], {"LEEK_WORKERS": "0"}),
    ("leek_push", 2, [], {}),
    ("leek_pause", 0, ["mail"], {}),
    ("leek_pause", 1, ["x" * 101], {}),
    ("leek_pause", 2, [], {}),
    ("leek_resume", 0, ["mail"], {}),
    ("leek_resume", 1, [""], {}),
    ("leek_resume", 2, [], {}),
    ("leek_bench", 0, ["--tasks", "1", "--pushes", "1"], {}),
    ("leek_bench", 1, [], {"LEEK_EAGER": "1"}),
    ("leek_bench", 1, [], {"LEEK_WORKERS": "0"}),
    ("leek_bench", 2, ["--tasks", "0"], {}),
    ("leek_stop", 0, [], {"LEEK_TASKS_PORT": "worker off"}),
    ("leek_stop --all", 0, ["--all"], {}),  # the last one: it ends the server that the others ask
]


def test_the_exit_codes_are_those_of_the_table(start_server: StartServer, port: int) -> None:
    rows = {command: meanings for command, *meanings in table("Exit codes")}
    assert sorted({command.split()[0] for command in rows}) == COMMANDS
    tried = defaultdict(set)
    for command, code, _, _ in SCENARIOS:
        tried[command].add(code)
    assert all(tried[command] == set(range(len(meanings))) for command, meanings in rows.items())
    store(1)
    on, off = start_server(), start_server(port=free_port())
    ports = {"worker off": off.port, "nobody": free_port()}
    stopped = manage("leek_stop", "--worker-only", LEEK_TASKS_PORT=str(off.port))
    assert stopped.returncode == 0
    for command, code, arguments, extra in SCENARIOS:
        chosen = {key: str(ports.get(value, value)) for key, value in extra.items()}
        done = manage(command.split()[0], *arguments, **chosen)
        assert done.returncode == code, (command, arguments, extra, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
    assert on.wait() == 0
