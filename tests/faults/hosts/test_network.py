"""What the tests of several hosts are built on does what it says."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.hosts import namespaces
from tests.faults.hosts.host import Host
from tests.faults.hosts.network import Network
from tests.support import GIVE_UP_AFTER, environment, is_gone, wait_until

pytestmark = pytest.mark.any_database

PATIENCE = 0.3  # seconds
LEAVES_ONE = """
import time
from tests.faults.hosts.network import Network
with Network() as network:
    host = network.add("left")
    print(host.start("sleep", "600", env={}).pid, host.namespace, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def hosts(network: Network) -> Iterator[tuple[Host, Host]]:
    """Return two hosts, of which the second listens."""
    one, other = network.add("one"), network.add("other")
    with other.entered():
        listening = socket.create_server((other.address, 8002))
    with listening:
        yield one, other


def connect(one: Host, other: Host, patience: float = GIVE_UP_AFTER) -> None:
    """Connect, and leave it at that."""
    with one.entered():
        socket.create_connection((other.address, 8002), patience).close()


def test_hosts_reach_each_other(hosts: tuple[Host, Host]) -> None:
    connect(*hosts)


def test_a_host_finds_the_others_by_name_also_one_that_comes_later_or_moves(
    network: Network,
) -> None:
    host = network.add("one")
    later = network.add("later")
    command = [*host.prefix, sys.executable, "-c"]
    asked = [*command, "import socket; print(socket.gethostbyname('later'))"]
    assert subprocess.check_output(asked, text=True).strip() == later.address
    host.know({"later": "10.203.0.99"})
    assert subprocess.check_output(asked, text=True).strip() == "10.203.0.99"


def test_a_link_that_is_cut_answers_nothing_until_it_is_healed(
    network: Network, hosts: tuple[Host, Host]
) -> None:
    with network.cut(*hosts), pytest.raises(TimeoutError):
        connect(*hosts, PATIENCE)
    connect(*hosts)


def test_what_is_sent_before_a_cut_is_over_arrives_when_it_is(
    network: Network, hosts: tuple[Host, Host]
) -> None:
    one, other = hosts
    with other.entered():
        listening = socket.create_server((other.address, 8003))
    with one.entered(), listening, socket.create_connection((other.address, 8003)) as sender:
        receiver, _ = listening.accept()
        with receiver:
            receiver.settimeout(PATIENCE)
            with network.cut(one, other, one_way=True):
                sender.sendall(b"word")
                with pytest.raises(TimeoutError):
                    receiver.recv(4)
            receiver.settimeout(60)
            assert receiver.recv(4) == b"word"


def test_a_refusal_is_heard_at_once(network: Network, hosts: tuple[Host, Host]) -> None:
    with network.refuse(*hosts, one_way=True), pytest.raises(ConnectionRefusedError):
        connect(*hosts)
    with network.refuse(*hosts), pytest.raises(ConnectionRefusedError):
        connect(*hosts)
    connect(*hosts)


def test_troubles_may_overlap(network: Network, hosts: tuple[Host, Host]) -> None:
    first = network.cut(*hosts)
    second = network.cut(hosts[1], network.hosts.values())
    first.heal()
    with pytest.raises(TimeoutError):
        connect(*hosts, PATIENCE)
    second.heal()
    connect(*hosts)


def test_a_slow_link_loses_nothing_for_good(network: Network, hosts: tuple[Host, Host]) -> None:
    one, other = hosts
    sent = os.urandom(50_000)
    with other.entered():
        listening = socket.create_server((other.address, 8003))
    with listening, network.slow_down(*hosts), one.entered():
        sender = socket.create_connection((other.address, 8003), 60)
        receiver, _ = listening.accept()
        with sender, receiver:
            sender.sendall(sent)
            sender.shutdown(socket.SHUT_WR)
            assert b"".join(iter(lambda: receiver.recv(65536), b"")) == sent


def test_two_networks_are_apart(network: Network, hosts: tuple[Host, Host]) -> None:
    with Network() as second:
        stranger = second.add("one")
        assert stranger.address == hosts[0].address
        with pytest.raises(OSError, match="No route to host"):
            connect(stranger, hosts[1])
    connect(*hosts)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_run_that_was_ended(
    can_make_networks: None, number: signal.Signals
) -> None:
    ended = subprocess.Popen(
        [sys.executable, "-c", LEAVES_ONE],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert ended.stdout
    with ended, ended.stdout:
        process, left = ended.stdout.readline().split()
        ended.send_signal(number)
    if number == signal.SIGKILL:
        assert Path("/run/netns", left).exists()
        namespaces.delete_leftovers()
    assert not Path("/run/netns", left).exists()
    assert not Path("/etc/netns", left).exists()
    wait_until(lambda: is_gone(int(process)), "the end of what ran there")
