"""How long things take, from what was measured. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

MILLI = 0.001
LEAST = 0.00005  # seconds of a statement, where the commit seems to be all of it


@dataclass(frozen=True)
class Batch:
    """The seconds that the database computes for a batch: for it as a whole, and for each row."""

    fixed: float
    each: float

    def seconds(self, rows: int) -> float:
        """Return how long a batch of so many rows takes."""
        return self.fixed + rows * self.each

    def times(self, factor: float) -> "Batch":
        """Return what takes so many times as long."""
        return Batch(factor * self.fixed, factor * self.each)


@dataclass(frozen=True)
class Costs:
    """What the database and the servers need for each thing, in seconds.

    A commit waits for the log, which takes `at_once` of them. A claim passes over the rows that
    others claim at the same time: each costs `skipped`. `call` and `task` are what Python needs for
    a batch, and for a task.
    """

    push: Batch
    claim: Batch
    settle: Batch
    look: float
    beat: float
    commit: float
    at_once: int
    skipped: float
    call: float
    task: float
    claim_waits: bool  # for the log

    def times(self, factor: float) -> "Costs":
        """Return the costs of a database that is so many times slower."""
        return replace(
            self,
            push=self.push.times(factor),
            claim=self.claim.times(factor),
            settle=self.settle.times(factor),
            look=factor * self.look,
            beat=factor * self.beat,
            commit=factor * self.commit,
            skipped=factor * self.skipped,
        )

    @classmethod
    def measured(cls, figures: Mapping[str, float], vendor: str) -> "Costs":
        """Return what the measure `costs` has found, and `fleet` with no-ops."""
        commit = MILLI * figures["cost_commit"]
        claim_waits = vendor != "postgresql"
        return cls(
            push=_batch(figures, "push", commit),
            claim=_batch(figures, "claim", commit if claim_waits else 0.0),
            settle=_batch(figures, "settle", commit),
            look=MILLI * figures["cost_look_100"],
            beat=max(MILLI * figures["cost_beat_100"] - commit, LEAST),
            commit=commit,
            at_once=max(round(figures["cost_commits"] * commit), 1),
            skipped=MILLI * figures["cost_skipped"] / 1000,
            call=MILLI * figures["cost_python"],
            task=1 / figures["fleet_noop_1"],
            claim_waits=claim_waits,
        )


def _batch(figures: Mapping[str, float], name: str, commit: float) -> Batch:
    one, many = (MILLI * figures[f"cost_{name}_{size}"] for size in (1, 1000))
    each = (many - one) / 999
    return Batch(max(one - each - commit, LEAST), each)
