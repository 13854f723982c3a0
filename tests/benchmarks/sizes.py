"""How much is measured: each number is an option."""

import argparse
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Sizes:
    """The numbers that the figures are meant for."""

    tasks: int = 10_000
    pushes: int = 500
    idle_seconds: float = 30.0
    starts: int = 5
    delayed: int = 1_000
    delayed_seconds: float = 5.0
    sleepers: int = 400
    finished: int = 1_000_000
    deferred: int = 100_000
    many: int = 1_000_000
    rate: float = 500.0
    pushers: int = 4
    steady_seconds: float = 60.0
    purged: int = 1_000_000
    listed: int = 1_000_000
    fleet_seconds: float = 2.0
    fleet_rounds: int = 3
    repeats: int = 20
    cost_seconds: float = 3.0


HELP = {
    "tasks": "no-ops pushed at once and drained, three times over",
    "pushes": "pushed one by one, and to an idle server",
    "idle_seconds": "for which an idle server is watched",
    "starts": "of a server, to its first task",
    "delayed": "tasks that each have a due time",
    "delayed_seconds": "over which their due times are spread",
    "sleepers": "tasks that sleep 50 ms, for 16 Workers",
    "finished": "finished rows beside which is drained",
    "deferred": "rows due in a year beside which is drained",
    "many": "tasks between two looks at the server's memory",
    "rate": "pushes a second, of the steady load",
    "pushers": "threads that push the steady load",
    "steady_seconds": "of the steady load",
    "purged": "successes to purge while the server works",
    "listed": "tasks beside which the admin's pages are loaded",
    "fleet_seconds": "of work for each server of several",
    "fleet_rounds": "of one, two and four servers",
    "repeats": "of each thing that the database is asked for",
    "cost_seconds": "of pushes at each rate",
}


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """Add an option for each size."""
    for field in fields(Sizes):
        kind = type(field.default)
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=kind,
            default=field.default,
            help=f"{HELP[field.name]} ({field.default:,})",
        )


def sizes_of(options: argparse.Namespace) -> Sizes:
    """Return the sizes that were asked for."""
    return Sizes(**{field.name: getattr(options, field.name) for field in fields(Sizes)})
