"""The live page: what the queue does at the moment, and its queues to be paused and resumed."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from leek import pausing
from leek.admin.live_values import live_values
from leek.admin.readonly import ReadOnlyAdmin
from leek.admin.surroundings import surroundings
from leek.admin.wording import address_of
from leek.models import PausedQueues, queue_database
from leek.queues import LONGEST_NAME

VIEW, PAUSE, RESUME = "leek.view_queuedtasks", "leek.add_pausedqueues", "leek.delete_pausedqueues"
PAGE, FRAGMENT = "admin/leek/live.html", "admin/leek/live_fragment.html"


class LivePageAdmin(ReadOnlyAdmin):
    """A list of rows that has the live page beside it."""

    def get_urls(self) -> list[URLPattern]:
        """Return the addresses of the list, and of the live page."""
        live = path("live/", self.admin_site.admin_view(self.live_view), name="leek_live")
        return [live, *super().get_urls()]

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """Show the page, or with `?fragment=1` the part of it that changes; pause and resume."""
        if not request.user.has_perm(VIEW):
            raise PermissionDenied
        if request.method == "POST":
            return self._change(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        if wrong := _wrong_parameter(request):
            return _refuse(wrong)
        request.current_app = self.admin_site.name
        values = live_values(self.admin_site) | {
            "may_pause": request.user.has_perm(PAUSE),
            "may_resume": request.user.has_perm(RESUME),
        }
        if request.GET:
            return render(request, FRAGMENT, values)
        return render(request, PAGE, self._surroundings(request) | values)

    def _surroundings(self, request: HttpRequest) -> dict[str, Any]:
        return self.admin_site.each_context(request) | {
            "title": _("Live"),
            "opts": self.opts,
            "longest_name": LONGEST_NAME,
            **surroundings(),
        }

    def _change(self, request: HttpRequest) -> HttpResponse:
        """Pause or resume the queue that a form names."""
        asked = [(word, request.POST[word]) for word in _CHANGES if word in request.POST]
        if len(asked) != 1:
            return _refuse(_("Say which queue to pause or to resume."))
        ((word, queue),) = asked
        permission, change = _CHANGES[word]
        if not request.user.has_perm(permission):
            raise PermissionDenied
        if not 1 <= len(queue) <= LONGEST_NAME or "\0" in queue:
            words = _("The name of a queue has 1 to %(most)d characters.")
            return _refuse(words % {"most": LONGEST_NAME})
        with transaction.atomic(using=queue_database()):
            change(self, request, queue)
        return HttpResponseRedirect(address_of("live", self.admin_site))

    def _pause(self, request: HttpRequest, queue: str) -> None:
        if not pausing.pause_queue(queue):
            messages.info(request, _("The queue “%(queue)s” is paused already.") % {"queue": queue})
            return
        for paused in PausedQueues.objects.filter(name=queue):  # unless it goes on already
            self.log_addition(request, paused, [{"added": {}}])
        messages.success(request, _("The queue “%(queue)s” is paused.") % {"queue": queue})

    def _resume(self, request: HttpRequest, queue: str) -> None:
        paused = PausedQueues.objects.filter(name=queue)  # read once, and kept to be logged
        if not (paused and pausing.resume_queue(queue)):
            messages.info(request, _("The queue “%(queue)s” is not paused.") % {"queue": queue})
            return
        self.log_deletions(request, paused)
        messages.success(request, _("The queue “%(queue)s” goes on.") % {"queue": queue})


_CHANGES = {"pause": (PAUSE, LivePageAdmin._pause), "resume": (RESUME, LivePageAdmin._resume)}


def _wrong_parameter(request: HttpRequest) -> str:
    """Say what is wrong with what the address asks for; nothing if all is well."""
    for name, value in request.GET.items():
        if name != "fragment":
            return _("The page has no parameter “%(name)s”.") % {"name": name}
        if value != "1":
            return _("The parameter “fragment” is 1, or left out.")
    return ""


def _refuse(reason: str) -> HttpResponse:
    return HttpResponseBadRequest(reason, content_type="text/plain; charset=utf-8")
