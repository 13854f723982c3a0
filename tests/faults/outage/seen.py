"""What was seen of an outage of the mail server, and what is wrong with that. Pure."""

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple


class Mail(NamedTuple):
    """A mail, as it is pushed and as it is delivered."""

    to: str
    subject: str
    body: str


class Costs(NamedTuple):
    """Numbers of tasks: how it ended for those for which it did not end well at the first try."""

    unfinished: int
    failed: int
    tried_again: int
    noted: int  # attempts that have failed, all told


@dataclass(frozen=True)
class Seen:
    """What was pushed and what became of it; times are in seconds.

    `delays` are those of the other tasks that had ended when the mail server came back, from the
    push to the start. `arrivals` of mails count from then.
    """

    away: float
    before: list[Mail]
    meanwhile: list[Mail]
    others: int
    delays: list[float]
    delivered: list[Mail]
    arrivals: list[float]
    costs: Costs
    errors: list[str]

    @property
    def problems(self) -> list[str]:
        """What the outage has cost."""
        pushed, delivered = Counter([*self.before, *self.meanwhile]), Counter(self.delivered)
        numbers = {
            "tasks are not finished": self.costs.unfinished,
            "tasks have failed": self.costs.failed,
            "tasks were not done at their first try": self.costs.tried_again,
            "failed attempts were noted": self.costs.noted,
            "other tasks were not run meanwhile": self.others - len(self.delays),
            "mails were not delivered as they were pushed": (pushed - delivered).total(),
            "mails were delivered twice, or were not pushed so": (delivered - pushed).total(),
        }
        told = [f"{number} {what}" for what, number in numbers.items() if number]
        return [*told, *(f"In the log: {line}" for line in self.errors)]

    def __str__(self) -> str:
        """Return the figures as lines."""
        lines = [
            f"The mail server was away for {self.away:.1f} s",
            f"Mails: {len(self.before)} pushed before, {len(self.meanwhile)} meanwhile,"
            f" {len(self.delivered)} delivered in the end",
            f"Other tasks: {len(self.delays)} of {self.others} run meanwhile, from push to start"
            f" {1000 * median(self.delays or [0]):.1f} ms (p50),"
            f" {1000 * max(self.delays, default=0):.1f} ms (max)",
            f"Back: the first mail came after {min(self.arrivals, default=0):.2f} s, the last"
            f" after {max(self.arrivals, default=0):.2f} s",
            f"Failed tasks: {self.costs.failed}; failed attempts: {self.costs.noted}; tasks that"
            f" needed more than their first try: {self.costs.tried_again}",
            *self.problems,
        ]
        return "\n".join([*lines, "FAILED" if self.problems else "Each mail was delivered once"])
