"""All peers, and the set-ups in which they are measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks.peers.bare import Bare
from tests.benchmarks.peers.celery import Celery
from tests.benchmarks.peers.dj_queue import DjQueue
from tests.benchmarks.peers.django_ox import DjangoOx
from tests.benchmarks.peers.django_q2 import DjangoQ2
from tests.benchmarks.peers.django_tasks_db import DjangoTasksDB
from tests.benchmarks.peers.dramatiq import Dramatiq
from tests.benchmarks.peers.huey import Huey, HueyWithoutFsync
from tests.benchmarks.peers.leek import Leek
from tests.benchmarks.peers.oban import Oban
from tests.benchmarks.peers.peer import Peer, Place
from tests.benchmarks.peers.procrastinate import Procrastinate
from tests.benchmarks.peers.rq import RQ

DATABASES = ("sqlite", "postgresql", "mariadb", "redis")
PEERS: tuple[type[Peer], ...] = (
    Bare,
    Leek,
    DjangoTasksDB,
    DjangoOx,
    DjQueue,
    Huey,
    HueyWithoutFsync,
    DjangoQ2,
    Procrastinate,
    Oban,
    Dramatiq,
    Celery,
    RQ,
)


@dataclass(frozen=True)
class Variant:
    """A peer on a database, as installed or with the best tuning."""

    database: str
    peer: type[Peer]
    tuned: bool

    @property
    def key(self) -> str:
        """The name that --only knows it by."""
        return f"{self.database}/{self.peer.name}/{self.setup}"

    @property
    def setup(self) -> str:
        """How it is set up, in a word."""
        return "best" if self.tuned else "installed"

    @property
    def notes(self) -> str:
        """How it is set up, in a sentence."""
        return self.peer.best if self.tuned else self.peer.installed

    def is_meant_by(self, names: Sequence[str]) -> bool:
        """Tell whether one of these is its key, the beginning of its key, or a part of it."""
        parts = self.key.split("/")
        return any(name in parts or f"{self.key}/".startswith(f"{name}/") for name in names)


def variants(only: Sequence[str]) -> list[Variant]:
    """Return the set-ups with one of these names, or all."""
    everything = [
        Variant(database, peer, tuned)
        for database in DATABASES
        for peer in PEERS
        if database in peer.databases
        for tuned in peer.setups
    ]
    return [variant for variant in everything if not only or variant.is_meant_by(only)]


def peer_of_this_process() -> Peer:
    """Return the peer that this process was started for."""
    place = Place.of_this_process()
    return next(peer for peer in PEERS if peer.name == place.peer)(place)
