"""What may be the matter with the links between hosts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType

from tests.faults.hosts import namespaces
from tests.faults.hosts.host import Host

Pair = tuple[Host, Host]  # whose packets do not get through, and to whom

LOSS = 20  # of 100 packets on a slow link
SPEED = 64  # kilobytes a second there

# What is dropped is dropped on the switch, between the hosts, so that these notice nothing. It
# cannot answer: to refuse is left to who gets the packet, and the refusal itself gets through.
SWITCH = f"""
table bridge links {{
    set cut {{ type ipv4_addr . ipv4_addr; }}
    set slow {{ type ipv4_addr . ipv4_addr; }}
    chain prerouting {{
        type filter hook prerouting priority 0;
        ip saddr . ip daddr @cut drop
        ip saddr . ip daddr @slow numgen random mod 100 < {LOSS} drop
        ip saddr . ip daddr @slow limit rate over {SPEED} kbytes/second drop
    }}
}}
"""
HOST = """
table ip links {
    set refused { type ipv4_addr . ipv4_addr; }
    chain input {
        type filter hook input priority 0;
        tcp flags rst accept
        ip saddr . ip daddr @refused meta l4proto tcp reject with tcp reset
        ip saddr . ip daddr @refused drop
    }
}
"""


@dataclass(frozen=True, eq=False)
class Trouble:
    """What is the matter with some links, until it is healed."""

    kind: str
    pairs: frozenset[Pair]
    _on_heal: "Callable[[Trouble], None]"

    def heal(self) -> None:
        """Have the links right again, but for what other troubles do; twice is safe."""
        self._on_heal(self)

    def __enter__(self) -> "Trouble":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.heal()


class Links:
    """The links of a network: from each host to each other one. Troubles may overlap."""

    def __init__(self, switch: str) -> None:
        self._switch = switch
        self._troubles: list[Trouble] = []
        _tell(switch, SWITCH)

    def connect(self, host: Host) -> None:
        """Have a host that can refuse."""
        _tell(host.namespace, HOST)

    def trouble(
        self, kind: str, some: Iterable[Host], others: Iterable[Host], *, one_way: bool
    ) -> Trouble:
        """Begin a trouble between some hosts and others, or on the way from these to those."""
        there = {(one, other) for one in some for other in others if one is not other}
        back = set() if one_way else {(other, one) for one, other in there}
        trouble = Trouble(kind, frozenset(there | back), self._end)
        self._troubles.append(trouble)
        self._enforce(trouble)
        return trouble

    def heal(self) -> None:
        """End all troubles."""
        for trouble in list(self._troubles):
            trouble.heal()

    def _end(self, trouble: Trouble) -> None:
        if trouble in self._troubles:
            self._troubles.remove(trouble)
            self._enforce(trouble)

    def _enforce(self, trouble: Trouble) -> None:
        """Have the switch, or who gets the packets, know which pairs have this kind of trouble."""
        if trouble.kind != "refused":
            self._set(self._switch, "bridge", trouble.kind, self._pairs(trouble.kind))
            return
        refused = self._pairs("refused")
        for host in {other for _, other in trouble.pairs}:
            pairs = {pair for pair in refused if pair[1] is host}
            self._set(host.namespace, "ip", "refused", pairs)

    def _pairs(self, kind: str) -> set[Pair]:
        return {pair for each in self._troubles if each.kind == kind for pair in each.pairs}

    def _set(self, namespace: str, family: str, kind: str, pairs: set[Pair]) -> None:
        elements = ", ".join(f"{one.address} . {other.address}" for one, other in pairs)
        add = f"add element {family} links {kind} {{ {elements} }}\n" if elements else ""
        _tell(namespace, f"flush set {family} links {kind}\n{add}")


def _tell(namespace: str, rules: str) -> None:
    """Change the rules of a namespace, all at once."""
    namespaces.run(*namespaces.prefix(namespace), "nft", "-f", "-", told=rules)
