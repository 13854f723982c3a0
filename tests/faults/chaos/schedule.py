"""What is pushed and what goes wrong, and when: all of it follows from the seed. Pure."""

from dataclasses import dataclass
from random import Random

PUSHERS = 3
RATE = 6.0  # pushes a second, of each pusher
SLOTS = 3  # places for servers
CLOCK_SLOT = 0  # of the only server whose clock jumps: libfaketime makes starts slow
LEASE, POLL_INTERVAL, SHUTDOWN_TIMEOUT = 1.5, 0.5, 1.0  # seconds, of each server
MAX_RETRIES, MAX_CRASHES = 3, 3

FAULTS = {
    "kill": 5,  # SIGKILL, and a restart on the same port
    "move": 3,  # SIGKILL, and a restart on another port only
    "freeze": 4,  # SIGSTOP beyond the lease, and SIGCONT
    "terminate": 3,  # SIGTERM, and a restart
    "outage": 3,  # the database is stopped and started; SQLite's file is locked by somebody
    "connections": 2,  # the database drops all connections
    "clock": 3,  # a server's wall clock jumps
}
LINK_FAULTS = {  # of a server's host, where each has its own: what reaches nobody is dropped
    "no database": 4,  # nothing passes between it and the database
    "no pushers": 2,
    "no siblings": 2,
    "alone": 3,  # it is cut off from everybody
    "mute": 2,  # what it sends reaches nobody
    "deaf": 2,  # what others send does not reach it
    "refused": 2,  # connections are refused and reset, as by a firewall
    "slow link": 3,  # to everybody: it loses packets, and lets few through
}
_SENTENCES = {
    "kill": "kill server {slot}, and restart it after {amount} s",
    "move": "kill server {slot}, and restart it elsewhere after {amount} s",
    "freeze": "freeze server {slot} for {amount} s",
    "terminate": "stop server {slot}, and restart it after {amount} s",
    "outage": "take the database away for {amount} s",
    "connections": "drop all connections to the database",
    "clock": "set the clock of server {slot} to {amount:+} s",
    "no database": "cut server {slot} off from the database for {amount} s",
    "no pushers": "cut server {slot} off from the pushers for {amount} s",
    "no siblings": "cut server {slot} off from the other servers for {amount} s",
    "alone": "cut server {slot} off from everybody for {amount} s",
    "mute": "have nothing get through from server {slot} for {amount} s",
    "deaf": "have nothing get through to server {slot} for {amount} s",
    "refused": "have all connections from and to server {slot} refused for {amount} s",
    "slow link": "have the link of server {slot} slow and lossy for {amount} s",
}
WAYS = {"one": 70, "many": 8, "commit": 12, "roll back": 10}
TASKS = {"quick": 80, "slow": 4, "flaky": 6, "failing": 3, "later": 7, "count": 6}
HINTS = {"server": 70, "nobody": 10, "silent": 10, "full": 10}
KILLERS = ("signal", "exit", "segfault")
CHUNK = 100  # tasks of a given number that are pushed together
BETWEEN_WRITES = 0.002  # seconds in the midst of each of these; SQLite is locked meanwhile
TRAPS = {"fence": "slow-trap", "atomic": "count-trap"}  # what is broken, and the task of its trap


Task = tuple[str, float | str]  # its tag, and its argument


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, so many seconds after the start.

    `slot` is the server that it hits, if it hits one. `amount` is for how many seconds, or how far
    a clock jumps.
    """

    at: float
    kind: str
    slot: int
    amount: float

    def __str__(self) -> str:
        return _SENTENCES[self.kind].format(slot=self.slot, amount=self.amount)


@dataclass(frozen=True)
class Push:
    """Tasks that are pushed together, each a tag and an argument; hints go to such a port.

    Some are pushed again until they are acknowledged.
    """

    at: float
    way: str
    tasks: tuple[Task, ...]
    hints: str
    until_acknowledged: bool = False


def faults(
    seed: int, seconds: float, vendor: str, *, with_clocks: bool, with_hosts: bool = False
) -> list[Fault]:
    """Return the faults of a run, in their order."""
    random = Random(f"faults {seed}")
    weights = FAULTS | (LINK_FAULTS if with_hosts else {})
    if vendor == "sqlite":
        del weights["connections"]
    if not with_clocks:
        del weights["clock"]
    planned: list[Fault] = []
    at = 1.0
    while at < seconds:
        kind = _pick(random, weights)
        slot = CLOCK_SLOT if kind == "clock" else random.randrange(SLOTS)
        planned.append(Fault(round(at, 2), kind, slot, _amount(random, kind, vendor)))
        at += random.uniform(0.7, 2.5)
    return planned


def clocks_apart(seed: int) -> list[float]:
    """Return by how many seconds the clock of each slot's host is wrong, all along a run."""
    random = Random(f"clocks {seed}")
    return [random.choice((-1, 1)) * random.randint(60, 600) for _ in range(SLOTS)]


def _amount(random: Random, kind: str, vendor: str) -> float:
    if kind in LINK_FAULTS:  # as often shorter than the lease as longer
        return round(random.choice((random.uniform(0.2, 1), random.uniform(1, 3))) * LEASE, 2)
    if kind == "freeze":
        return round(random.uniform(1.2, 3) * LEASE, 2)
    if kind == "clock":  # on SQLite a server's clock is the database's clock: leases move along
        return random.choice((-1, 1)) * random.randint(1, 8 if vendor == "sqlite" else 7200)
    if kind == "outage":
        return round(random.uniform(0.2, 3), 2)
    return round(random.uniform(0, 1), 2)


def pushes(seed: int, number: int, seconds: float) -> list[Push]:
    """Return what one of the pushers pushes, in its order."""
    random = Random(f"pushes {seed} {number}")
    planned: list[Push] = []
    at, count = 0.0, 0
    killers = {random.randrange(round(seconds * RATE)) for _ in range(_killers(number, seconds))}
    hints = "server"
    while at < seconds:
        if random.random() < 0.02:
            hints = _pick(random, HINTS)
        way = "one" if len(planned) in killers else _pick(random, WAYS)
        names = [f"{number}-{count + extra}" for extra in range(_size(random, way))]
        make = _killer if len(planned) in killers else _task
        tasks = tuple(make(random, name) for name in names)
        planned.append(Push(round(at, 3), way, tasks, hints))
        count += len(tasks)
        at += random.expovariate(RATE)
    return planned


def _killers(number: int, seconds: float) -> int:
    return max(round(seconds / 30), 1 if number == 0 else 0)


def _killer(random: Random, name: str) -> Task:
    return f"killer-{name}", random.choice(KILLERS)


def _size(random: Random, way: str) -> int:
    return {"one": 1, "many": random.randint(2, 30)}.get(way, random.randint(1, 5))


def _task(random: Random, name: str) -> Task:
    kind = _pick(random, TASKS)
    argument = {
        "slow": random.uniform(0.3, 2.5),  # seconds
        "flaky": random.randint(1, MAX_RETRIES - 1),  # tries that fail
        "later": random.uniform(0.1, 2),  # seconds until it is due
    }.get(kind, random.uniform(0, 0.03))
    return f"{kind}-{name}", round(argument, 3)


def _pick(random: Random, weights: dict[str, int]) -> str:
    return random.choices(list(weights), list(weights.values()))[0]


def counts(number: int, seconds: float) -> list[Push]:
    """Return the pushes of so many tasks that count, in chunks that are spread over the run."""
    chunks = [range(first, min(first + CHUNK, number)) for first in range(0, number, CHUNK)]
    return [
        Push(
            round(index * seconds / len(chunks), 3),
            "many",
            tuple((f"count-all-{task}", BETWEEN_WRITES) for task in chunk),
            "server",
            until_acknowledged=True,
        )
        for index, chunk in enumerate(chunks)
    ]


def trapped(broken: str) -> list[Push]:
    """Return the push of a task that lasts, for the trap that finds out what is broken."""
    return [Push(0.0, "one", ((TRAPS[broken], 4.0),), "server")]
