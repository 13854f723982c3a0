"""Why a task is deferred."""

from django.utils import timezone
from django.utils.translation import gettext as _

from leek.explaining.case import Case
from leek.explaining.spans import span
from leek.status import brief, moment


def parked(case: Case) -> str | None:
    """Tell that no server could import it, and whether this process can."""
    row = case.row
    if not row.parked_since:
        return None
    words = {"until": moment(row.run_after), "since": moment(row.parked_since), "name": row.name}
    text = _("parked until %(until)s: it has not imported since %(since)s; here it does by now")
    if problem := case.not_found or case.unreadable:
        words["problem"] = brief(problem)
        text = _(
            "parked until %(until)s: it has not imported since %(since)s;"
            " the callable %(name)s does not import here (%(problem)s)"
        )
    return text % words


def tried(case: Case) -> str | None:
    """Tell which try comes next, and how the latest attempt failed."""
    row, latest = case.row, case.latest_failure
    if not row.tries or not latest:
        return None
    words = {
        "until": moment(row.run_after),
        "number": row.tries + 1,
        "most": case.max_retries,
        "span": span((row.run_after - timezone.now()).total_seconds()),
        "attempt": latest.attempt,
        "error": f"{latest.exception_type}: {brief(latest.exception_message)}",
    }
    if case.max_retries is None:
        text = _(
            "deferred until %(until)s: try %(number)s in %(span)s,"
            " after attempt %(attempt)s failed: %(error)s"
        )
    else:
        text = _(
            "deferred until %(until)s: try %(number)s of %(most)s in %(span)s,"
            " after attempt %(attempt)s failed: %(error)s"
        )
    return text % words


def deferred(case: Case) -> str:
    """Tell when it is due."""
    return _("deferred until %(until)s") % {"until": moment(case.row.run_after)}
