"""Where a task runs, or is about to, or how it ended."""

from django.utils.translation import gettext as _

from leek.explaining.case import Case
from leek.status import brief, moment


def in_its_pusher(case: Case) -> str | None:
    """Tell that no server runs it."""
    if case.row.owner_id is not None:
        return None
    return _("running in the process that pushed it, %(details)s") % {"details": _details(case)}


def orphaned(case: Case) -> str | None:
    """Tell that its server is gone."""
    if case.owner:
        return None
    words = {"details": _details(case)}
    text = _("running on a server that is gone: another one gives it back, %(details)s")
    return text % words


def lease_over(case: Case) -> str | None:
    """Tell that its server is silent."""
    if case.owner_is_alive:
        return None
    words = {"server": case.owner, "details": _details(case)}
    return _("running on %(server)s, whose lease is over, %(details)s") % words


def relayed(case: Case) -> str | None:
    """Tell that its server has handed it to Celery, none of whose workers has begun it."""
    if not case.owner or case.owner.workers:
        return None
    words = {"server": case.owner, "details": _details(case)}
    return _("handed to Celery by %(server)s, not begun, %(details)s") % words


def running(case: Case) -> str:
    """Tell which server runs it."""
    words = {"server": case.owner, "details": _details(case)}
    if since := case.running_since:
        words["since"] = moment(since)
        return _("running on %(server)s since %(since)s, %(details)s") % words
    return _("running on %(server)s, %(details)s") % words


def _details(case: Case) -> str:
    """Return at which attempt a task is, and how far."""
    row = case.row
    words = {
        "attempt": row.tries + row.crashes + 1,
        "done": row.progress_done,
        "total": row.progress_total,
    }
    if row.progress_done is None:
        return _("attempt %(attempt)s") % words
    if not row.progress_total:
        return _("attempt %(attempt)s, %(done)s") % words
    return _("attempt %(attempt)s, %(done)s of %(total)s") % words


def succeeded(case: Case) -> str:
    """Tell when it succeeded, and how long it took."""
    outcome = case.row.success
    seconds = (outcome.finished_at - outcome.started_at).total_seconds()
    words = {"time": moment(outcome.finished_at), "seconds": f"{seconds:.3f}"}
    return _("succeeded at %(time)s, in %(seconds)s s") % words


def failed(case: Case) -> str:
    """Tell when it failed, and of what."""
    outcome = case.row.failure
    error = f"{outcome.exception_type}: {brief(outcome.exception_message)}"
    words = {"time": moment(outcome.finished_at), "error": error}
    return _("failed at %(time)s: %(error)s") % words
