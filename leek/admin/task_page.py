"""The page of one task: what it is, where it is and why, what became of it, what can be done."""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone

from leek.admin.actions import FROM_PAGE
from leek.admin.course import course_of
from leek.admin.deeds import DEEDS
from leek.admin.labels import label_of
from leek.admin.surroundings import surroundings
from leek.admin.wording import address_of, address_of_tasks
from leek.arguments import arguments_of, result_of
from leek.conf import places
from leek.connecting import connect, in_turn
from leek.explaining import explain
from leek.models import FailedTasks, Gates, QueuedTasks, State, SuccessTasks

PATIENCE = 0.25  # seconds for a server to answer


@dataclass(frozen=True)
class Link:
    """Another page of the admin."""

    address: str
    text: str


class TaskPage(admin.ModelAdmin):  # type: ignore[type-arg]
    """The page of a task, to be looked at."""

    change_form_template = "admin/leek/queuedtasks/task.html"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return none: the page has no form."""
        return ()

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show a task, or do what one of its buttons says."""
        if request.method == "POST" and FROM_PAGE in request.POST:
            return self._act(request, object_id)
        answer = super().change_view(request, object_id, form_url, extra_context)
        if isinstance(answer, TemplateResponse):
            context: Any = answer.context_data
            context.update(self._context(request, context["original"]))
        return answer

    def _act(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        rows = self.get_queryset(request).filter(pk=row.pk)
        answer: HttpResponse | None = self.response_action(request, rows)
        return answer or HttpResponseRedirect(request.get_full_path())

    def _context(self, request: HttpRequest, row: QueuedTasks) -> dict[str, Any]:
        """Return what the page shows of a task."""
        course = course_of(row, timezone.now())
        return {
            "task": row,
            "label": label_of(State(row.state)),
            "explanation": _explanation(row),
            "arguments": arguments_of(row.payload),
            "course": course,
            "result": result_of(course.end.result) if isinstance(course.end, SuccessTasks) else "",
            "failure": course.end if isinstance(course.end, FailedTasks) else None,
            "outcome_page": self._outcome_page(request, course.end),
            "gate": self._gate(request, row),
            "tasks_of_name": address_of_tasks(self.admin_site, name=row.name),
            "tasks_of_queue": address_of_tasks(self.admin_site, queue=row.queue),
            "deeds": self._deeds(request, row),
            "from_page": FROM_PAGE,
            **surroundings(),
        }

    def _deeds(self, request: HttpRequest, row: QueuedTasks) -> list[Any]:
        """Return what can be done with a task in its state by this user."""
        allowed = self.get_actions(request)
        return [deed for deed in DEEDS if deed.action in allowed and row.state in deed.states]

    def _outcome_page(
        self, request: HttpRequest, end: SuccessTasks | FailedTasks | None
    ) -> Link | None:
        if end is None or not self._may_view(request, type(end)):
            return None
        address = address_of(f"{end._meta.model_name}_change", self.admin_site, end.pk)
        return Link(address, str(end._meta.verbose_name))

    def _gate(self, request: HttpRequest, row: QueuedTasks) -> Link | None:
        """Return the gate that a task waits at; without its address if it has no page."""
        if not row.blocked_by:
            return None
        gate = Gates.objects.filter(name=row.blocked_by).only("pk").first()
        if gate is None or not self._may_view(request, Gates):
            return Link("", row.blocked_by)
        return Link(address_of("gates_change", self.admin_site, gate.pk), row.blocked_by)

    def _may_view(self, request: HttpRequest, model: type[Model]) -> bool:
        """Tell whether this admin has a page of such a row, for this user."""
        its_admin = self.admin_site._registry.get(model)
        return its_admin is not None and its_admin.has_view_permission(request)


def _explanation(row: QueuedTasks) -> str:
    try:
        return explain(row.pk, _is_listening).explanation
    except (QueuedTasks.DoesNotExist, SuccessTasks.DoesNotExist, FailedTasks.DoesNotExist):
        return ""  # it has just been purged, or pushed back


def _is_listening() -> bool:
    """Tell whether somebody listens where the settings say, within a moment."""
    for place, seconds in in_turn(places(), time.monotonic() + PATIENCE):
        with suppress(OSError):
            connect(place.host, place.port, seconds).close()
            return True
    return False
