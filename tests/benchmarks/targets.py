"""The figures, and what they are meant to reach. Pure: nothing is measured here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Databases = Mapping[str, float]


@dataclass(frozen=True)
class Target:
    """A figure, its unit, and the limits by database; "" is for any of them."""

    what: str
    unit: str = ""
    at_least: Databases = field(default_factory=dict)
    at_most: Databases = field(default_factory=dict)

    def limit(self, vendor: str) -> tuple[str, float] | None:
        """Return on which side of what the figure should be."""
        for sign, limits in (("≥", self.at_least), ("≤", self.at_most)):
            if (limit := limits.get(vendor, limits.get(""))) is not None:
                return sign, limit
        return None

    def is_reached(self, value: float, vendor: str) -> bool:
        """Tell whether a value is what it should be."""
        if (found := self.limit(vendor)) is None:
            return True
        sign, limit = found
        return value >= limit if sign == "≥" else value <= limit


def _by(sqlite: float, postgresql: float, mysql: float) -> Databases:
    return {"sqlite": sqlite, "postgresql": postgresql, "mysql": mysql}


FLEET: list[tuple[str, str, Databases]] = [
    # On SQLite all commits wait for each other.
    ("wait_20", "tasks that wait 20 ms", {"postgresql": 0.9, "mysql": 0.9}),
    ("wait_1", "tasks that wait 1 ms", {}),
    ("compute_20", "tasks that compute 20 ms", {"postgresql": 0.9, "mysql": 0.9}),
    ("compute_1", "tasks that compute 1 ms", {}),
    ("noop", "no-ops", {}),
]

TARGETS = {
    "commit": Target("bare commits", "/s"),
    "rested_commit_p50": Target("a commit after a rest, p50", "ms"),
    "rested_commit_p99": Target("a commit after a rest, p99", "ms"),
    "fsync": Target("fsync of 4 KiB", "/s"),
    "loop": Target("a million turns of a Python loop", "ms"),
    "push_per_create": Target("push beside create()", at_least={"": 0.8}),
    "push_at_work_per_create": Target("the same while tasks run"),
    "enqueue_per_push": Target("enqueue by django.tasks beside a push", at_most={"": 1.3}),
    "push_many": Target("push_many", "/s", at_least=_by(30_000, 25_000, 15_000)),
    "drain": Target("drain, one Worker", "/s", at_least=_by(15_000, 12_000, 8_000)),
    "latency_p50": Target(
        "push to start, p50", "ms", at_most={"sqlite": 1.5, "postgresql": 2, "mysql": 2}
    ),
    "latency_p99": Target(
        "push to start, p99", "ms", at_most={"sqlite": 3, "postgresql": 4, "mysql": 4}
    ),
    "crowded": Target("drain beside finished and deferred rows", at_least={"": 0.9}),
    "statements": Target("statements of an idle server", "/s", at_most={"": 1.2}),
    "cpu": Target("processor of an idle server", "% of a core", at_most={"": 0.3}),
    "memory": Target("memory of an idle server", "MB", at_most={"": 60}),
    "start": Target("launch to first task", "s", at_most={"": 0.4}),
    "due_p50": Target("due time to start, p50", "ms"),
    "due_p99": Target("due time to start, p99", "ms", at_most={"": 50}),
    "recovery": Target("launch after kill -9 to first replayed task", "s", at_most={"": 1}),
    "sleepers": Target("time of sleepers beside the ideal", at_most={"": 1.05}),
    "growth": Target("memory that many tasks add", "MB", at_most={"": 5}),
    "steady_p99": Target("push to start under a steady load, p99", "ms", at_most={"": 20}),
    "steady_rate": Target("pushes of the steady load", "/s"),
    "purge_memory": Target("memory of leek_purge at most", "MB"),
    "purge_wait": Target("longest wait for a start during a purge", "ms", at_most={"": 100}),
    **{
        name: Target(f"the admin's list of tasks, {what}", "ms", at_most={"": 300})
        for name, what in {
            "page_list": "no filter",
            "page_third": "page 3",
            "page_waiting": "waiting",
            "page_failed": "failed",
            "page_finished": "finished",
            "page_queue": "a queue",
            "page_exception": "an exception",
            "page_hour": "pushed in the last hour",
            "page_combined": "three filters",
            "page_search": "a search for what many have",
            "page_nothing": "a search for what none has",
        }.items()
    },
    "page_live": Target("the admin's live page", "ms", at_most={"": 300}),
    "page_live_part": Target("the part of it that is refreshed", "ms", at_most={"": 300}),
    "page_statements": Target("statements of a page, at most", at_most={"": 15}),
    "page_per_rows": Target("the list beside its rows from the ORM"),
    **{
        f"cost_{what}_{size}": Target(f"the database's time for a {what} of {size:,}", "ms")
        for what in ("push", "claim", "settle")
        for size in (1, 10, 100, 1000)
    },
    **{
        f"cost_{what}_{number}": Target(f"the same for a {name} of one of {number} servers", "ms")
        for what, name in {"look": "look", "beat": "heartbeat"}.items()
        for number in (1, 100)
    },
    **{
        f"cost_tally_{number}": Target(f"the same for tallies of {number} names", "ms")
        for number in (1, 10)
    },
    "cost_skipped": Target("the same for 1,000 rows that another one claims", "ms"),
    "cost_python": Target("Python's time for a claim or a settlement of 1", "ms"),
    "cost_commit": Target("the same for a commit of one row", "ms"),
    "cost_commits": Target("commits of 8 at once", "/s"),
    **{
        f"cost_{what}_{load}": Target(f"{what} for a task, {title}")
        for what in ("statements", "commits")
        for load, title in {
            "at_10": "10 pushed a second",
            "at_100": "100 pushed a second",
            "backlog": "in a backlog",
        }.items()
    },
    **{
        f"fleet_{kind}_{number}": Target(f"{number} servers, {what}, beside linear", "", reach)
        if number > 1
        else Target(f"1 server, {what}", "/s")
        for kind, what, reach in FLEET
        for number in (1, 2, 4)
    },
}
