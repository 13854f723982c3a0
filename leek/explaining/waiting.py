"""Why a task waits whose time has come."""

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from leek.conf import places
from leek.explaining.case import Case
from leek.status import brief, moment


def no_server(case: Case) -> str | None:
    """Tell that nobody is there to run it."""
    if case.servers:
        return None
    where = ", ".join(map(str, places()))
    return _("waiting: no server is listening at %(place)s") % {"place": where}


def unserved(case: Case) -> str | None:
    """Tell that those that are there leave its queue to others."""
    if case.is_served:
        return None
    return _('waiting: no running server serves the queue "%(queue)s"') % {"queue": case.row.queue}


def paused(case: Case) -> str | None:
    """Tell that its queue is paused."""
    if not (since := case.paused_since):
        return None
    words = {"queue": case.row.queue, "since": moment(since)}
    return _('waiting: the queue "%(queue)s" is paused since %(since)s') % words


def not_found(case: Case) -> str | None:
    """Tell that its callable, or the class of an argument, does not import."""
    if not (problem := case.not_found):
        return None
    words = {"name": case.row.name, "problem": brief(problem)}
    return _("waiting: the callable %(name)s does not import here (%(problem)s)") % words


def unreadable(case: Case) -> str | None:
    """Tell that it fails as soon as a server looks at it."""
    if not (problem := case.unreadable):
        return None
    return _("waiting, but it will fail: %(problem)s") % {"problem": brief(problem)}


def suspect(case: Case) -> str | None:
    """Tell that it has to be alone."""
    if not case.row.suspect:
        return None
    return _("waiting to run alone, because a server died that had claimed it")


def in_line(case: Case) -> str:
    """Tell what is ahead of it."""
    urgent, earlier = case.ahead
    words = {"urgent": urgent.text, "earlier": earlier.text}
    if urgent and earlier:
        text = _("waiting: it is behind %(urgent)s of higher priority and %(earlier)s earlier ones")
    elif urgent:
        text = _("waiting: it is behind %(urgent)s of higher priority")
    elif earlier:
        text = ngettext(
            "waiting: it is behind %(earlier)s earlier one of its priority",
            "waiting: it is behind %(earlier)s earlier ones of its priority",
            earlier,
        )
    elif relayed := case.relayed:
        words["relayed"] = relayed.text
        text = _("waiting: of its queue, %(relayed)s wait at Celery and are not begun")
    else:
        text = _("waiting: it is the next one of its queue")
    return text % words
