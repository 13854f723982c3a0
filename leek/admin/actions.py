"""What people can have done with tasks, on the list and on the page of a task.

Each action asks first, on a page of its own; then it is done within some seconds, and the admin's
log tells who has done it.
"""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import ngettext_lazy

from leek.admin.deeds import CANCEL, MOVE, PURGE, RETRY, RUN_NOW, Deed, account_of, counted
from leek.admin.places import PlaceForm
from leek.admin.surroundings import surroundings
from leek.admin.wording import address_of
from leek.models import QueuedTasks
from leek.orders import Report, carry_out, number_of

LISTED = 10  # tasks that a question names
CONFIRMED, FROM_PAGE = "post", "from_page"  # what the forms say, besides what Django's do

_MEANT = ngettext_lazy("%(shown)s task is meant.", "%(shown)s tasks are meant.", "number")
_MORE = ngettext_lazy("... and %(shown)s more", "... and %(shown)s more", "number")

Tasks = QuerySet[QueuedTasks]


class TaskActions(admin.ModelAdmin):  # type: ignore[type-arg]
    """The actions, each for who has its permission."""

    actions = ("retry_tasks", "cancel_tasks", "run_tasks_now", "move_tasks", "purge_tasks")

    @admin.action(description=RETRY.title, permissions=["retry"])
    def retry_tasks(self, request: HttpRequest, queryset: Tasks) -> HttpResponse | None:
        """Push failed tasks back."""
        return self._ask_or_do(request, queryset, RETRY)

    @admin.action(description=CANCEL.title, permissions=["cancel"])
    def cancel_tasks(self, request: HttpRequest, queryset: Tasks) -> HttpResponse | None:
        """Cancel tasks that have not ended."""
        return self._ask_or_do(request, queryset, CANCEL)

    @admin.action(description=RUN_NOW.title, permissions=["run"])
    def run_tasks_now(self, request: HttpRequest, queryset: Tasks) -> HttpResponse | None:
        """Make deferred tasks due."""
        return self._ask_or_do(request, queryset, RUN_NOW)

    @admin.action(description=MOVE.title, permissions=["move"])
    def move_tasks(self, request: HttpRequest, queryset: Tasks) -> HttpResponse | None:
        """Give waiting tasks another queue or priority."""
        return self._ask_or_do(request, queryset, MOVE)

    @admin.action(description=PURGE.title, permissions=["purge"])
    def purge_tasks(self, request: HttpRequest, queryset: Tasks) -> HttpResponse | None:
        """Delete finished tasks."""
        return self._ask_or_do(request, queryset, PURGE)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Tell whether this user may retry tasks."""
        return request.user.has_perm("leek.retry_queuedtasks")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Tell whether this user may cancel tasks."""
        return request.user.has_perm("leek.cancel_queuedtasks")

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Tell whether this user may have tasks run now."""
        return request.user.has_perm("leek.run_queuedtasks")

    def has_move_permission(self, request: HttpRequest) -> bool:
        """Tell whether this user may move tasks."""
        return request.user.has_perm("leek.change_queuedtasks")

    def has_purge_permission(self, request: HttpRequest) -> bool:
        """Tell whether this user may purge tasks."""
        return request.user.has_perm("leek.delete_queuedtasks")

    def _ask_or_do(self, request: HttpRequest, rows: Tasks, deed: Deed) -> HttpResponse | None:
        is_confirmed = request.POST.get(CONFIRMED) == "yes"
        form = deed.form(request.POST if is_confirmed else None) if deed.form else None
        if not is_confirmed or (form and not form.is_valid()):
            return self._question(request, rows, deed, form)
        order = deed.order(*form.place) if form else deed.order()
        report = carry_out(order, rows)
        _log(request, deed, report, _told(form))
        for sentence, is_good in deed.sentences(report):
            self.message_user(request, sentence, messages.SUCCESS if is_good else messages.WARNING)
        if FROM_PAGE in request.POST and not rows.exists():
            return HttpResponseRedirect(address_of("queuedtasks_changelist", self.admin_site))
        return None

    def _question(
        self, request: HttpRequest, rows: Tasks, deed: Deed, form: PlaceForm | None
    ) -> HttpResponse:
        number = number_of(rows)
        columns = ("pk", "name", "state")
        values = rows.values_list(*columns)[:LISTED]
        first = [QueuedTasks(**dict(zip(columns, each, strict=True))) for each in values]
        context = {
            **self.admin_site.each_context(request),
            **surroundings(),
            "title": deed.title,
            "deed": deed,
            "form": form,
            "meant": counted(_MEANT, number),
            "first": first,
            "more": counted(_MORE, number - len(first)) if number > len(first) else "",
            "hidden": _hidden(request, deed),
            "back": request.get_full_path(),
            "opts": self.opts,
            "media": self.media,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/leek/queuedtasks/question.html", context)


def _hidden(request: HttpRequest, deed: Deed) -> list[tuple[str, str]]:
    """Return what the question has to say again about which tasks are meant."""
    across = request.POST.get("select_across", "0")
    said = [("action", deed.action), ("index", "0"), ("select_across", across), (CONFIRMED, "yes")]
    if page := request.POST.get(FROM_PAGE):
        said.append((FROM_PAGE, page))
    chosen = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)
    return [*said, *((helpers.ACTION_CHECKBOX_NAME, key) for key in chosen)]


def _told(form: PlaceForm | None) -> str:
    """Return what a form was told, for the log."""
    if form is None:
        return ""
    said = {form.fields[name].label: value for name, value in form.cleaned_data.items()}
    return ", ".join(f"{label}: {value}" for label, value in said.items() if value is not None)


def _log(request: HttpRequest, deed: Deed, report: Report, told: str) -> None:
    """Note what was done in the admin's log: at each task where they are few, else once."""
    if not report.done:
        return
    flag = DELETION if deed.is_deletion else CHANGE
    user: Any = request.user
    if report.tasks:
        message = f"{deed.logged} {told}".strip()
        LogEntry.objects.log_actions(user.pk, report.tasks, flag, message)
        return
    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(QueuedTasks),
        object_repr=counted(deed.done, report.done)[:200],
        action_flag=flag,
        change_message=account_of(deed, report, told),
    )
