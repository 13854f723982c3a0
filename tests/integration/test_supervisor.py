"""What becomes of a hint that reaches a server too late."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from leek.protocol import TAKEN
from leek.server import forwarder, sibling_line, supervisor
from leek.server.configured import pool_options, server_options
from leek.server.supervisor import Supervisor
from tests.integration.test_hints import HINT, connect
from tests.integration.test_offers import Sibling
from tests.support import GIVE_UP_AFTER, wait_until

pytestmark = pytest.mark.any_database


@pytest.fixture(autouse=True)
def nobody_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the forwarder wait for siblings however long this machine takes."""
    monkeypatch.setattr(sibling_line, "ANSWERED_WITHIN", GIVE_UP_AFTER)
    monkeypatch.setattr(forwarder, "READ_WITHIN", GIVE_UP_AFTER)
    for module in (forwarder, supervisor):
        monkeypatch.setattr(module, "LAST_MOMENT", GIVE_UP_AFTER)


@pytest.fixture
def stack(transactional_db: None) -> Iterator[ExitStack]:
    """Return what ends connections with the test."""
    with ExitStack() as stack:
        yield stack


def test_a_hint_that_a_stopping_server_does_not_read_is_forwarded(
    stack: ExitStack, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Supervisor(server_options({}), pool_options({"workers": 1}))
    sibling = Sibling(stack)
    reader = server._listener._thread
    read_to_the_end = reader.join

    def hint_when_nobody_reads(timeout: float | None = None) -> None:
        read_to_the_end(timeout)
        pusher.sendall(HINT)

    def stop(host: str, port: int) -> None:
        wait_until(lambda: server._forwarder.has_siblings, "the sibling")
        server.ask_to_stop()

    def take_offer() -> None:
        sibling.accept()
        sibling.answer(TAKEN)

    pusher = stack.enter_context(connect(port))
    monkeypatch.setattr(reader, "join", hint_when_nobody_reads)
    with ThreadPoolExecutor() as threads:
        taken = threads.submit(take_offer)
        assert server.run(stop)
        taken.result()
