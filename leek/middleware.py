"""The middleware that gives each request an id, which its tasks have as well."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from leek.context import request_id

HEADER = "X-Request-ID"

_WELL_FORMED = re.compile(r"[!-~]{1,128}")


class RequestIDMiddleware:
    """Takes the id that a proxy has given to a request in X-Request-ID, or else makes one.

    It is the value of `leek.context.request_id` during the request, and a header of the response.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Return the response, or what is awaited for it, as what comes behind does."""
        if self._is_async:
            return self._handle(request)
        with _identified(request) as identity:
            return _marked(self._get_response(request), identity)

    async def _handle(self, request: HttpRequest) -> HttpResponseBase:
        with _identified(request) as identity:
            return _marked(await self._get_response(request), identity)


@contextmanager
def _identified(request: HttpRequest) -> Iterator[str]:
    """Let a request have its id inside the block."""
    given = request.headers.get(HEADER, "")
    identity = given if _WELL_FORMED.fullmatch(given) else uuid4().hex
    token = request_id.set(identity)
    try:
        yield identity
    finally:
        request_id.reset(token)


def _marked(response: HttpResponseBase, identity: str) -> HttpResponseBase:
    response[HEADER] = identity
    return response
