"""The words for what people can have done with tasks: before it is done, and afterwards."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from leek import orders
from leek.admin.places import PlaceForm
from leek.admin.wording import count
from leek.figures import Number
from leek.models import State
from leek.orders import COUNTED, Order, Report


@dataclass(frozen=True)
class Deed:
    """What can be done with tasks: the name of its action, the states it concerns, its words.

    `order` makes the order of what the `form` was given, if it asks for something.
    """

    action: str
    title: Any
    question: Any
    button: Any
    states: Sequence[State]
    order: Callable[..., Order]
    done: Any
    kept: Any
    others: Any
    logged: Any
    form: type[PlaceForm] | None = None
    short: Any = ""  # for a button that stands at one task
    is_deletion: bool = False

    def sentences(self, report: Report) -> Iterator[tuple[str, bool]]:
        """Say what became of it; and of each sentence whether it is good news."""
        if report.done or not (report.kept or report.others or report.left):
            yield counted(self.done, report.done), bool(report.done)
        for words, number in ((self.kept, report.kept), (self.others, report.others)):
            if number:
                yield counted(words, number), False
        if report.left:
            yield counted(_LEFT, report.left), False


def counted(words: Any, number: int) -> str:
    """Return words with a number in them; one that is counted no further says so."""
    shown = count(Number(number, is_capped=number >= COUNTED))
    return str(words % {"number": number, "shown": shown})


_LEFT = ngettext_lazy(
    "%(shown)s task is still to be done: repeat the action to go on.",
    "%(shown)s tasks are still to be done: repeat the action to go on.",
    "number",
)

RETRY = Deed(
    action="retry_tasks",
    title=_("Retry tasks"),
    question=_("Failed tasks are pushed back, with clean counters and without their errors."),
    button=_("Retry"),
    states=orders.RETRIED,
    order=orders.retry,
    done=ngettext_lazy("%(shown)s task is retried.", "%(shown)s tasks are retried.", "number"),
    kept=ngettext_lazy(
        "%(shown)s task is left: a newer one has its unique key.",
        "%(shown)s tasks are left: newer ones have their unique keys.",
        "number",
    ),
    others=ngettext_lazy(
        "%(shown)s task had not failed.", "%(shown)s tasks had not failed.", "number"
    ),
    logged=_("Retried."),
)
CANCEL = Deed(
    action="cancel_tasks",
    title=_("Cancel tasks"),
    question=_(
        "Tasks that wait fail as cancelled. Those that run are stopped where their server can: as"
        " async functions, and in child processes."
    ),
    button=_("Cancel the tasks"),
    short=_("Cancel"),
    states=orders.CANCELLED,
    order=orders.cancel,
    done=ngettext_lazy(
        "%(shown)s task is cancelled, or will be in a moment.",
        "%(shown)s tasks are cancelled, or will be in a moment.",
        "number",
    ),
    kept=ngettext_lazy(
        "%(shown)s task runs and cannot be stopped, or its server does not answer.",
        "%(shown)s tasks run and cannot be stopped, or their servers do not answer.",
        "number",
    ),
    others=ngettext_lazy("%(shown)s task had ended.", "%(shown)s tasks had ended.", "number"),
    logged=_("Cancelled."),
)
RUN_NOW = Deed(
    action="run_tasks_now",
    title=_("Run tasks now"),
    question=_(
        "Tasks that wait for a time are due now: deferred ones, those that are to be tried again,"
        " and those whose function did not import."
    ),
    button=_("Run now"),
    states=orders.HASTENED,
    order=orders.run_now,
    done=ngettext_lazy("%(shown)s task is due now.", "%(shown)s tasks are due now.", "number"),
    kept=ngettext_lazy("%(shown)s task is left.", "%(shown)s tasks are left.", "number"),
    others=ngettext_lazy(
        "%(shown)s task did not wait for a time.",
        "%(shown)s tasks did not wait for a time.",
        "number",
    ),
    logged=_("Made due now."),
)
MOVE = Deed(
    action="move_tasks",
    title=_("Move tasks"),
    question=_("Tasks that wait get another queue, another priority, or both."),
    button=_("Move"),
    states=orders.MOVED,
    order=orders.move,
    done=ngettext_lazy("%(shown)s task is moved.", "%(shown)s tasks are moved.", "number"),
    kept=ngettext_lazy("%(shown)s task is left.", "%(shown)s tasks are left.", "number"),
    others=ngettext_lazy("%(shown)s task did not wait.", "%(shown)s tasks did not wait.", "number"),
    logged=_("Moved."),
    form=PlaceForm,
)
PURGE = Deed(
    action="purge_tasks",
    title=_("Purge tasks"),
    question=_("Finished tasks are deleted for good, with their results, errors and logs."),
    button=_("Purge"),
    states=orders.PURGED,
    order=orders.purge,
    done=ngettext_lazy("%(shown)s task is purged.", "%(shown)s tasks are purged.", "number"),
    kept=ngettext_lazy(
        "%(shown)s task is left: other rows of the site refer to it.",
        "%(shown)s tasks are left: other rows of the site refer to them.",
        "number",
    ),
    others=ngettext_lazy(
        "%(shown)s task is not finished.", "%(shown)s tasks are not finished.", "number"
    ),
    logged=_("Purged."),
    is_deletion=True,
)
DEEDS = (RETRY, CANCEL, RUN_NOW, MOVE, PURGE)


def account_of(deed: Deed, report: Report, told: str = "") -> str:
    """Return what an order with many tasks leaves in the admin's log."""
    text = gettext("%(deed)s: %(account)s") % {
        "deed": deed.title,
        "account": " ".join(sentence for sentence, _is_good in deed.sentences(report)),
    }
    return f"{text} {told}".strip()
