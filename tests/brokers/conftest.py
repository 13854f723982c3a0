"""Brokers for each process that runs tests, servers that relay over them, and workers."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.brokers.kinds import BROKERS, Broker
from tests.brokers.left_out import LEFT_OUT
from tests.brokers.workers import CeleryWorker, RelayedServer
from tests.conftest import StartServer
from tests.support import LeekServer

HERE = Path(__file__).parent
StartWorker = Callable[..., CeleryWorker]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what says nothing of tasks that are relayed."""
    left_out = {item for item in items if HERE in item.path.parents and _is_left_out(item)}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def _is_left_out(item: pytest.Item) -> bool:
    """Tell whether a test is of a leek_server's own processes or otherwise not for workers."""
    assert isinstance(item, pytest.Function)
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    is_isolated = parameters.get("arguments") == ("--isolate",)
    return is_isolated or item.originalname in LEFT_OUT


@pytest.fixture(scope="session")
def brokers() -> Iterator[dict[str, Broker]]:
    """The brokers that were started, by their names; they are ended with the session."""
    started: dict[str, Broker] = {}
    yield started
    for broker in started.values():
        broker.remove()


@pytest.fixture(params=BROKERS)
def broker(
    request: pytest.FixtureRequest,
    brokers: dict[str, Broker],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Broker:
    """Return a broker over which this test's site relays its tasks, in a queue of its own.

    Only where TESTS_BROKERS is "required" are its tests run, as they take long; a broker that is
    missing fails them.
    """
    name = request.param
    if os.environ.get("TESTS_BROKERS") != "required":
        pytest.skip("TESTS_BROKERS=required runs them")
    if missing := " and ".join(BROKERS[name].missing()):
        pytest.fail(f"no {missing} on this machine")
    if name not in brokers:
        brokers[name] = BROKERS[name](tmp_path_factory.mktemp(name))
        brokers[name].start()
    monkeypatch.setenv("LEEK_ENGINE", "celery")
    monkeypatch.setenv("TESTS_BROKER_URL", brokers[name].url)
    monkeypatch.setenv("TESTS_BROKER_QUEUE", uuid4().hex)
    return brokers[name]


@pytest.fixture
def start_relay(broker: Broker, start_plain_server: StartServer) -> StartServer:
    """Return a function that starts a leek_server that relays, and no worker."""
    return start_plain_server


@pytest.fixture
def start_plain_server(
    transactional_db: None, servers: list[LeekServer], port: int, tmp_path: Path
) -> StartServer:
    """Return a function that starts a leek_server."""

    def start(*arguments: str, port: int = port, **extra: str) -> LeekServer:
        log = tmp_path / f"server-{len(servers)}.log"
        servers.append(LeekServer(port, log, *arguments, **extra))
        return servers[-1].wait_until_ready()

    return start


@pytest.fixture
def start_worker(
    broker: Broker, transactional_db: None, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[StartWorker]:
    """Return a function that starts a worker; it is ended with the test, which its errors fail."""
    started: list[CeleryWorker] = []

    def start(**options: Any) -> CeleryWorker:
        started.append(CeleryWorker(tmp_path / f"worker-{len(started)}.log", **options))
        return started[-1].wait_until_ready()

    yield start
    for worker in started:
        worker.kill()
    if "logs_errors" not in request.keywords:
        for worker in started:
            assert not worker.errors, worker.log


@pytest.fixture
def start_server(
    broker: Broker, transactional_db: None, servers: list[LeekServer], port: int, tmp_path: Path
) -> StartServer:
    """Return a function that starts a leek_server that relays, and a worker for it."""

    def start(*arguments: str, port: int = port, wait: bool = True, **extra: str) -> LeekServer:
        log = tmp_path / f"server-{len(servers)}.log"
        server = RelayedServer(port, log, *arguments, is_first=not servers, **extra)
        servers.append(server)
        return server.wait_until_ready() if wait else server

    return start
