"""Health and metrics over HTTP, for whoever has the setting HEALTH_TOKEN, and for staff.

Without that setting they answer as if they were not there.
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from typing import Any

from django import db
from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.common import no_append_slash
from django.views.decorators.csrf import csrf_exempt

from leek import health
from leek.conf import InvalidSetting, config
from leek.status import brief

View = Callable[[HttpRequest], HttpResponse]

_METHODS = ("GET", "HEAD")
_TEXT = "text/plain; charset=utf-8"
_NO_PROMETHEUS = (
    "The metrics need the package prometheus-client: pip install django-leek[metrics]\n"
)


def guarded(view: View) -> View:
    """Open a view to who may look, and only to look; what it answers is kept nowhere.

    It is called outside of ATOMIC_REQUESTS, so as to tell of a database that is down.
    """

    @csrf_exempt
    @no_append_slash
    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        response = _refusal(request) or view(request)
        response.headers["Cache-Control"] = "no-store"
        return response

    for alias in connections:
        answer = transaction.non_atomic_requests(using=alias)(answer)
    return answer


@guarded
def live(request: HttpRequest) -> HttpResponse:
    """Tell that this process answers, without looking any further."""
    return JsonResponse({"live": True})


@guarded
def ready(request: HttpRequest) -> HttpResponse:
    """Tell whether the queue is fit for work, and what is wrong: 503 if anything is."""
    try:
        limits = health.Limits.of(request.GET.dict())
    except ValueError as error:
        return JsonResponse({"problems": [str(error)]}, status=400)
    found = health.look(limits)
    status = 200 if found.is_ready else 503
    return JsonResponse({"ready": found.is_ready, **asdict(found)}, status=status)


@guarded
def metrics(request: HttpRequest) -> HttpResponse:
    """Return what Prometheus scrapes, as it asks for it."""
    try:
        from leek import metrics  # it imports the client, which is an extra
    except ModuleNotFoundError as error:
        if error.name != "prometheus_client":
            raise
        return HttpResponse(_NO_PROMETHEUS, content_type=_TEXT, status=501)
    try:
        content, kind = metrics.exposition(request.headers.get("Accept", ""))
    except db.Error as error:
        reason = brief(f"{type(error).__name__}: {error}")
        text = f"The queue's database cannot be read: {reason}\n"
        return HttpResponse(text, content_type=_TEXT, status=503)
    return HttpResponse(content, content_type=kind)


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """Return what somebody gets who may not look, or not so; raise Http404 while it is closed."""
    if (token := _token()) is None:
        raise Http404
    if request.method not in _METHODS:
        return HttpResponseNotAllowed(_METHODS)
    if _has_token(request, token) or _is_of_staff(request):
        return None
    challenge = {"WWW-Authenticate": "Bearer"}
    return HttpResponse("Unauthorized\n", content_type=_TEXT, status=401, headers=challenge)


def _token() -> str | None:
    """Return the token; what cannot be one opens nothing, and a check tells of it."""
    try:
        return config.HEALTH_TOKEN
    except InvalidSetting:
        return None


def _has_token(request: HttpRequest, token: str) -> bool:
    """Tell whether a request has the token, which its client may have sent as UTF-8 or Latin-1.

    Servers hand on each byte of a header as one character.
    """
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    as_bytes = given.strip().encode("latin-1", "replace")
    matches = [
        constant_time_compare(as_bytes, each)
        for each in (token.encode(), token.encode("latin-1", "xmlcharrefreplace"))
    ]
    return scheme.lower() == "bearer" and any(matches)


def _is_of_staff(request: HttpRequest) -> bool:
    """Tell whether a member of the staff asks; nobody is known while the database is down."""
    try:
        user: Any = getattr(request, "user", None)
        return bool(user and user.is_active and getattr(user, "is_staff", False))
    except db.Error:
        return False
