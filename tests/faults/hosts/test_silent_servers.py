"""The link to a server is dead, without a word: whoever pushes, or has it stopped, notices."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from leek import client, hint_line, hinting
from leek.exceptions import ServerUnreachable
from leek.server.listener import Listener
from tests.faults.hosts.conftest import PORT
from tests.faults.hosts.host import Host
from tests.faults.hosts.network import Network
from tests.integration.test_hints import AGES, Control
from tests.support import wait_until

pytestmark = pytest.mark.any_database


@pytest.fixture
def desk(network: Network) -> Iterator[Host]:
    """Return the host that the test is on."""
    desk = network.add("desk")
    with desk.entered():
        yield desk


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Return what ends servers with the test."""
    with ExitStack() as stack:
        yield stack


def listen(host: Host, control: Control, stack: ExitStack) -> None:
    """Listen on a host, as a server does."""
    with host.entered():
        listener = Listener(host.address, PORT, control)
    stack.callback(listener.stop)
    listener.start()


def test_hints_go_to_the_next_place_when_the_first_is_gone_without_a_word(
    network: Network, desk: Host, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("LONGEST_REST", "LONGEST_USE"):
        monkeypatch.setattr(hint_line, limit, AGES)
    hosts = [network.add(name) for name in ("one", "two")]
    controls = [Control() for _ in hosts]
    for host, control in zip(hosts, controls, strict=True):
        listen(host, control, stack)
    monkeypatch.setenv("LEEK_TASKS_HOST", ",".join(f"{host.address}:{PORT}" for host in hosts))

    def is_heard_by(control: Control) -> bool:
        hinting.hint()
        return control.hints > 0

    first, second = controls
    with monkeypatch.context() as patience:  # only here: a black hole would cost half of it
        patience.setenv("LEEK_HINT_TIMEOUT", str(AGES))
        wait_until(lambda: is_heard_by(first), "a hint to the first place")
    with network.cut(desk, hosts[0]):
        wait_until(lambda: is_heard_by(second), "a hint to the second place")


class CutOffAtTheStop(Control):
    """Stands for a server whose host is cut off while it stops, which never ends."""

    def __init__(self, network: Network, host: Host) -> None:
        super().__init__()
        self.released = threading.Event()
        self._network, self._host = network, host

    def stop(self) -> None:
        """Have the link cut, and wait."""
        self._network.cut(self._host, self._network.hosts.values())
        self.released.wait()


def test_whoever_waits_for_a_stop_notices_that_the_host_is_gone_without_a_word(
    network: Network, desk: Host, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "LONGEST_SILENCE", 1.0)
    gone = network.add("gone")
    control = CutOffAtTheStop(network, gone)
    listen(gone, control, stack)
    stack.callback(control.released.set)
    with pytest.raises(ServerUnreachable, match="timed out"):
        client.command("stop", host=gone.address, port=PORT)
