"""huey, by its own integration into Django."""

from typing import Any, ClassVar

from tests.benchmarks.peers.peer import Peer, manage

STORAGES = {
    "sqlite": "huey.SqliteHuey",
    "postgresql": "huey.PostgresHuey",
    "redis": "huey.RedisHuey",
}


class Huey(Peer):
    """huey on three storages; it has no bulk push, and a task that returns None leaves no trace."""

    name = "huey"
    packages = ("huey",)
    databases = tuple(STORAGES)
    apps = ("huey.contrib.djhuey",)
    tasks = "huey"
    more: ClassVar[dict[str, Any]] = {}  # further options of the storage
    installed = (
        "`run_huey`, one thread; its own SQLite file with WAL, polled every 0.1 s and up to 10 s "
        "when long idle; blocking reads on PostgreSQL and Redis"
    )
    best = "`run_huey --quiet --no-periodic --delay 0.01 --max-delay 0.01`"

    @property
    def poll(self) -> float:
        """Its delay; on the other storages its reads block."""
        if self.place.database != "sqlite":
            return 0.0
        return 0.01 if self.place.tuned else 0.1

    def settings(self) -> dict[str, Any]:
        """Name the storage and where it is."""
        where = {
            "sqlite": {"filename": f"{self.place.directory}/huey.db"},
            "postgresql": {"dsn": self.place.url.replace("postgres:", "postgresql:")},
            "redis": {"url": self.place.url},
        }[self.place.database]
        storage = STORAGES[self.place.database]
        return {"HUEY": {"huey_class": storage, "name": "peers", **where, **self.more}}

    def worker(self) -> list[str]:
        """Start its consumer."""
        tuning = ["--quiet", "--no-periodic", "--delay", "0.01", "--max-delay", "0.01"]
        return manage("run_huey", *(tuning if self.place.tuned else []))

    def prepare(self) -> None:
        """Do nothing: it creates its tables by itself."""

    def push(self) -> None:
        """Call the task, which is to push it."""
        from tests.benchmarks.peers.tasks.huey import noop

        noop()

    def unfinished(self) -> int:
        """Count what waits: what runs is in no record."""
        from huey.contrib.djhuey import HUEY

        waiting: int = HUEY.pending_count()
        return waiting


class HueyWithoutFsync(Huey):
    """huey as its documentation makes it faster at a price that no other set-up here pays."""

    name = "huey-without-fsync"
    databases = ("sqlite",)
    setups = (True,)
    more = {"fsync": False}
    best = (
        "as huey's best, with `fsync=False`, its switch for `synchronous=OFF`: a power failure may "
        "cost pushes, and the file"
    )
