"""Why a task is blocked: what keeps it at its gate."""

from django.utils.translation import gettext as _

from leek.conditions import LIMIT, RATE
from leek.explaining.case import Case
from leek.explaining.spans import span
from leek.status import brief, moment


def outage(case: Case) -> str | None:
    """Tell which service is down, since when, and why."""
    if not (gate := case.gate) or not gate.closed_since:
        return None
    words = {"gate": gate.name, "since": moment(gate.closed_since), "reason": brief(gate.reason)}
    return _("waiting for %(gate)s since %(since)s: %(reason)s") % words


def limit(case: Case) -> str | None:
    """Tell which tasks have taken its limit."""
    gate, holders = case.gate, case.holders
    if not gate or not holders or case.seconds_to_room is None:
        return None
    words = {
        "key": gate.name.removeprefix(LIMIT),
        "tasks": ", ".join(map(str, holders)),
        "capacity": gate.capacity,
    }
    if gate.capacity == 1:
        return _("waiting: limit %(key)s is taken by %(tasks)s") % words
    return _("waiting: limit %(key)s, %(capacity)s at a time, is taken by %(tasks)s") % words


def rate(case: Case) -> str | None:
    """Tell when its rate lets the next one start."""
    gate = case.gate
    if not gate or not gate.period or not case.seconds_to_room:
        return None
    words = {
        "key": gate.name.removeprefix(RATE),
        "capacity": gate.capacity,
        "period": span(gate.period),
        "seconds": span(case.seconds_to_room),
    }
    text = _(
        "waiting: rate %(key)s lets %(capacity)s start in %(period)s, the next one in %(seconds)s"
    )
    return text % words


def at_gate(case: Case) -> str:
    """Tell that nothing keeps it at its gate any longer."""
    return _("waiting for %(gate)s, which is about to let it go on") % {"gate": case.row.blocked_by}
