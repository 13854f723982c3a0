"""Hosts with addresses of their own, on a network that nothing else is on."""

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from tests.faults.hosts import namespaces
from tests.faults.hosts.host import Host
from tests.faults.hosts.links import Links, Trouble

_ADDRESS = "10.203.0.{}"

Hosts = Host | Iterable[Host]


class Network:
    """Hosts on a switch. Neither this machine's own network nor other Networks are touched.

    Nothing is left of it when the block ends. What a killed process has left is deleted by the next
    one that makes a Network.
    """

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self._group = namespaces.new_group()
        self._switch = f"{self._group}-switch"
        self._folder = Path(tempfile.mkdtemp(prefix="leek-hosts-"))

    def __enter__(self) -> "Network":
        namespaces.delete_leftovers()
        try:
            namespaces.create(self._switch)
            namespaces.run("ip", "-n", self._switch, "link", "add", "switch", "type", "bridge")
            namespaces.run("ip", "-n", self._switch, "link", "set", "dev", "switch", "up")
            self._links = Links(self._switch)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Delete it, and end what runs on its hosts."""
        for host in list(self.hosts.values()):
            host.remove()
        namespaces.delete(self._switch)
        shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, name: str) -> Host:
        """Add a host; all others know its name."""
        address = _ADDRESS.format(2 + len(self.hosts))
        host = Host(name, address, f"{self._group}-{name}", self._folder)
        self.hosts[name] = host
        self._plug(host)
        self._links.connect(host)
        known = {each.name: each.address for each in self.hosts.values()}
        for each in self.hosts.values():
            each.know(known)
        return host

    def _plug(self, host: Host) -> None:
        """Lay a cable from a host to the switch."""
        port = f"port{len(self.hosts)}"
        inside = ("ip", "-n", host.namespace)
        outside = ("ip", "-n", self._switch)
        peer = ("type", "veth", "peer", "name", port, "netns", self._switch)
        namespaces.run(*inside, "link", "add", "eth0", *peer)
        namespaces.run(*inside, "address", "add", f"{host.address}/24", "dev", "eth0")
        namespaces.run(*inside, "link", "set", "dev", "eth0", "up")
        namespaces.run(*outside, "link", "set", "dev", port, "master", "switch", "up")

    # What may be the matter with links

    def cut(self, some: Hosts, others: Hosts, *, one_way: bool = False) -> Trouble:
        """Drop what some hosts and others send each other; one way: what these send to those."""
        return self._trouble("cut", some, others, one_way=one_way)

    def refuse(self, some: Hosts, others: Hosts, *, one_way: bool = False) -> Trouble:
        """Have hosts answer what comes from these that nobody is there, as a firewall may."""
        return self._trouble("refused", some, others, one_way=one_way)

    def slow_down(self, some: Hosts, others: Hosts, *, one_way: bool = False) -> Trouble:
        """Lose a part of what is sent, which the system sends again, and let little through."""
        return self._trouble("slow", some, others, one_way=one_way)

    def heal(self) -> None:
        """Have all links right again."""
        self._links.heal()

    def _trouble(self, kind: str, some: Hosts, others: Hosts, *, one_way: bool) -> Trouble:
        return self._links.trouble(kind, _each(some), _each(others), one_way=one_way)


def _each(hosts: Hosts) -> Iterable[Host]:
    return [hosts] if isinstance(hosts, Host) else hosts


def missing() -> list[str]:
    """Return what it takes to make a Network and is not there."""
    programs = {"ip": "iproute2", "nft": "nftables"}
    lacking = [package for program, package in programs.items() if not shutil.which(program)]
    if os.geteuid() != 0:
        lacking.append("right to make a network (root has it)")
    if lacking:
        return lacking
    try:
        with Network() as network:
            network.add("trial")
    except OSError as error:  # as in a container
        return [f"network of one's own ({error})"]
    return []
