"""Views that push tasks, and show the state of each."""

from typing import Any

from django.core.mail import send_mail
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from demo.forms import MailForm, SlowForm
from demo.tasks import count_slowly, fail
from leek.api import push_task_to_queue
from leek.exceptions import ResultNotStored
from leek.models import QueuedTasks, Status

SHOWN = 20
UNFINISHED = (Status.READY, Status.RUNNING)


@never_cache
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Show the forms and the latest tasks."""
    return page(request)


@require_POST
def push_mail(request: HttpRequest) -> HttpResponse:
    """Push the sending of a mail."""
    form = MailForm(request.POST)
    if not form.is_valid():
        return page(request, mail_form=form)
    mail = form.cleaned_data
    push_task_to_queue(send_mail, mail["subject"], mail["message"], None, [mail["recipient"]])
    return to_tasks()


@require_POST
def push_slow(request: HttpRequest) -> HttpResponse:
    """Push a task that takes its time."""
    form = SlowForm(request.POST)
    if not form.is_valid():
        return page(request, slow_form=form)
    push_task_to_queue(count_slowly, form.cleaned_data["seconds"])
    return to_tasks()


@require_POST
def push_failing(request: HttpRequest) -> HttpResponse:
    """Push a task that fails at each try."""
    push_task_to_queue(fail)
    return to_tasks()


@never_cache
@require_GET
def tasks(request: HttpRequest) -> JsonResponse:
    """Tell the state of the latest tasks to the page's script."""
    return JsonResponse({"tasks": latest_tasks()})


def page(
    request: HttpRequest,
    mail_form: MailForm | None = None,
    slow_form: SlowForm | None = None,
) -> HttpResponse:
    """Render the page, with a refused form as it was sent."""
    refused = mail_form or slow_form
    tasks = latest_tasks()
    context = {
        "mail_form": mail_form or MailForm(),
        "slow_form": slow_form or SlowForm(),
        "tasks": tasks,
        "refresh": not refused and any(task["status"] in UNFINISHED for task in tasks),
    }
    return render(request, "demo/home.html", context, status=422 if refused else 200)


def to_tasks() -> HttpResponse:
    """Lead back to the page, where its list of tasks begins."""
    return redirect(reverse("home") + "#tasks")


def latest_tasks() -> list[dict[str, Any]]:
    """Describe the tasks pushed last, the newest first."""
    rows = QueuedTasks.objects.select_related("success", "failure").order_by("-id")
    return [
        {
            "id": task.id,
            "name": task.name,
            "status": task.status,
            "tries": task.tries,
            "outcome": outcome(task),
        }
        for task in rows[:SHOWN]
    ]


def outcome(task: QueuedTasks) -> str:
    """Tell in a few words what a task ended in, or nothing while it has not."""
    if task.exception:
        return str(task.exception)
    try:
        return f"returned {task.result!r}" if task.is_finished else ""
    except ResultNotStored:
        return "returned something that cannot be stored"
