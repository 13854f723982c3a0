"""What all tests share: real servers, and a watch over threads and the log."""

import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from leek import hinting
from leek.current import current_task
from tests.support import LeekServer, free_port, wait_until

SCREENSHOTS = Path(__file__).resolve().parent / "browser" / "screenshots"
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MariaDB and MySQL"}


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and forget what the shell has for leek's settings and for Ctrl-C."""
    config.addinivalue_line(
        "markers", "logs_errors: leek may log errors in this test, also in its servers"
    )
    config.addinivalue_line(
        "markers", "any_database: one database tells as much about this as another; CI takes SQLite"
    )
    config.addinivalue_line(
        "markers", "any_version: one Python and Django tells as much about this as another"
    )
    for name in [name for name in os.environ if name.startswith("LEEK_")]:
        del os.environ[name]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in what a shell has run with "&"
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which databases this run has left out, and what became of the tests that need more."""
    left_out = [name for vendor, name in DATABASES.items() if vendor != connection.vendor]
    terminalreporter.write_line(
        f"The database was {DATABASES[connection.vendor]}. Left out: {', '.join(left_out)};"
        " DATABASE_URL picks one, as the README says."
    )
    of_browser = _reports(terminalreporter, "tests/browser/")
    if reasons := _reasons(of_browser):
        terminalreporter.write_line(f"The browser tests were left out. {reasons}.")
    elif of_browser:
        terminalreporter.write_line(f"The browser tests' screenshots are in {SCREENSHOTS}.")
    if reasons := _reasons(_reports(terminalreporter, "tests/brokers/")):
        terminalreporter.write_line(f"Tests with Celery were left out. {reasons}.")


def _reports(terminalreporter: pytest.TerminalReporter, beginning: str) -> list[pytest.TestReport]:
    """Return what is known of the tests whose names begin so."""
    return [
        report
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.nodeid.startswith(beginning)
    ]


def _reasons(reports: list[pytest.TestReport]) -> str:
    """Return why tests were left out, if some were."""
    return "; ".join(
        sorted({report.longrepr[2] for report in reports if isinstance(report.longrepr, tuple)})
    )


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Give each process a test database: SQLite's in pytest's folder, where none is left behind."""
    if connection.vendor == "sqlite":
        folder = tmp_path_factory.mktemp("database")
        connection.settings_dict["TEST"]["NAME"] = str(folder / "tests.sqlite3")


@pytest.fixture(autouse=True)
def temporary_directory(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Give the test and the processes it starts a temporary directory that ends with it."""
    with tempfile.TemporaryDirectory(dir=tmp_path_factory.getbasetemp()) as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return a free port, which the pushes of this test send their hints to."""
    number = free_port()
    monkeypatch.setenv("LEEK_TASKS_PORT", str(number))
    return number


StartServer = Callable[..., LeekServer]


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Iterator[list[LeekServer]]:
    """Return a list of servers that are ended with the test; fail it if one has logged an error."""
    started: list[LeekServer] = []
    yield started
    for server in started:
        server.kill()
    if "logs_errors" not in request.keywords:
        for server in started:
            assert not server.errors, server.log


@pytest.fixture
def start_server(
    transactional_db: None, servers: list[LeekServer], port: int, tmp_path: Path
) -> StartServer:
    """Return a function that starts a leek_server, ready to work; it is ended with the test."""

    def start(*arguments: str, port: int = port, wait: bool = True, **extra: str) -> LeekServer:
        log = tmp_path / f"server-{len(servers)}.log"
        server = LeekServer(port, log, *arguments, **extra)
        servers.append(server)
        return server.wait_until_ready() if wait else server

    return start


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return what a task sets when it has begun: its time limit is not over before."""
    begun = threading.Event()

    class Timer(threading.Timer):
        def run(self) -> None:
            begun.wait()
            super().run()

    monkeypatch.setattr(threading, "Timer", Timer)
    return begun


@pytest.fixture(autouse=True)
def fresh_hints(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget what became of the hints of earlier tests, and end the connection of this one's."""
    hinter = hinting.Hinter()
    monkeypatch.setattr(hinting, "hinter", hinter)
    yield
    hinter.close()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread of leek running."""
    yield
    wait_until(lambda: not _threads_of_leek(), f"the end of {_threads_of_leek()}")


def _threads_of_leek() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("leek-")]


@pytest.fixture(autouse=True)
def no_task_is_left() -> Iterator[None]:
    """Fail a test after which a task seems to be run here: the next test would be its code."""
    before = current_task()
    yield
    assert current_task() is before


@pytest.fixture(autouse=True)
def no_error_is_logged(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Fail a test in which leek logs an error that the test does not ask for."""
    yield
    if "logs_errors" not in request.keywords:
        errors = [
            record.getMessage()
            for record in caplog.get_records("call")
            if record.name == "leek" and record.levelno >= logging.ERROR
        ]
        assert not errors
