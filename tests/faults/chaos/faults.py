"""Does what the schedule says: ends, freezes and misleads servers, takes the database away."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress

import environ

from tests.faults.chaos import log
from tests.faults.chaos.hosts import Hosts
from tests.faults.chaos.schedule import LINK_FAULTS, Fault
from tests.faults.chaos.servers import Slot
from tests.faults.databases import Database
from tests.support import free_port

Later = Callable[[float, Callable[[], None]], None]


class LockedFile:
    """A file of SQLite whose outage is that somebody else locks it."""

    def __init__(self, database: Database) -> None:
        self._name = environ.Env.db_url_config(database.url)["NAME"]
        self._lock: sqlite3.Connection | None = None

    def crash(self) -> None:
        """Lock the file against all others, as soon as they let us."""
        self._lock = sqlite3.connect(self._name, timeout=10, isolation_level=None)
        with suppress(sqlite3.OperationalError):  # a frozen process holds the lock: no less a fault
            self._lock.execute("BEGIN EXCLUSIVE")

    def start(self) -> None:
        """Give the file free."""
        if self._lock is not None:
            self._lock.close()

    def kill_connections(self) -> None:
        """Do nothing: there are none."""


class Faults:
    """Strikes, and undoes later what does not pass by itself."""

    def __init__(
        self,
        slots: list[Slot],
        database: Database | LockedFile,
        hosts: Hosts | None,
        later: Later,
    ) -> None:
        self._slots = slots
        self._database = database
        self._hosts = hosts
        self._later = later
        self._is_away = False

    def strike(self, fault: Fault) -> None:
        """Do one thing, unless there is nothing that it could hit."""
        if fault.kind in LINK_FAULTS:
            self._strike_link(fault)
            return
        slot = self._slots[fault.slot]
        hits_database = fault.kind in ("outage", "connections")
        pid = None if hits_database else slot.pid
        if self._is_away if hits_database else pid is None or slot.is_frozen:
            log.write("spared", kind=fault.kind)
            return
        log.write("fault", kind=fault.kind, server=pid, amount=fault.amount)
        getattr(self, f"_{fault.kind}")(slot, fault.amount)

    def undo(self) -> None:
        """Have the database, all links and all clocks right, and nobody frozen."""
        self._end_outage()
        if self._hosts:
            self._hosts.network.heal()
        for slot in self._slots:
            slot.thaw()
            slot.set_clock(0)

    def _strike_link(self, fault: Fault) -> None:
        if self._hosts is None:
            raise ValueError(fault)
        log.write("fault", kind=fault.kind, server=None, slot=fault.slot, amount=fault.amount)
        trouble = self._hosts.begin(fault.kind, fault.slot)

        def heal() -> None:
            trouble.heal()
            log.write("over", kind=fault.kind, server=None, slot=fault.slot)

        self._later(fault.amount, heal)

    def _kill(self, slot: Slot, pause: float) -> None:
        slot.kill("kill", pause)

    def _move(self, slot: Slot, pause: float) -> None:
        slot.kill("move", pause)
        slot.port = free_port()

    def _terminate(self, slot: Slot, pause: float) -> None:
        slot.terminate(pause)

    def _freeze(self, slot: Slot, seconds: float) -> None:
        pid = slot.pid
        slot.freeze()

        def thaw() -> None:
            if slot.pid == pid:
                slot.thaw()
                log.write("over", kind="freeze", server=pid)

        self._later(seconds, thaw)

    def _outage(self, slot: Slot, seconds: float) -> None:
        self._is_away = True
        self._database.crash()
        self._later(seconds, self._end_outage)

    def _end_outage(self) -> None:
        if self._is_away:
            self._database.start()
            self._is_away = False
            log.write("over", kind="outage", server=None)

    def _connections(self, slot: Slot, amount: float) -> None:
        self._database.kill_connections()

    def _clock(self, slot: Slot, seconds: float) -> None:
        slot.set_clock(seconds)
