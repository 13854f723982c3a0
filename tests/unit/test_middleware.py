"""The id of a request."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from leek.context import request_id
from leek.middleware import RequestIDMiddleware

Serve = Callable[[HttpRequest], HttpResponse]


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request_id.get())


def failing_view(request: HttpRequest) -> HttpResponse:
    raise ValueError(request_id.get())


def serve(request: HttpRequest, view: Any = view) -> HttpResponse:
    answer = RequestIDMiddleware(view)(request)
    assert isinstance(answer, HttpResponse)
    return answer


def serve_slowly(request: HttpRequest, view: Any = view) -> HttpResponse:
    async def slow_view(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0)
        return view(request)  # type: ignore[no-any-return]

    async def handle() -> HttpResponse:
        middleware = RequestIDMiddleware(slow_view)
        assert iscoroutinefunction(middleware)
        answer = await middleware(request)
        assert request_id.get() is None
        assert isinstance(answer, HttpResponse)
        return answer

    return asyncio.run(handle())


@pytest.fixture(params=[serve, serve_slowly])
def serving(request: pytest.FixtureRequest) -> Any:
    """Return a function that has a request served, the one way or the other."""
    return request.param


def asking(**headers: str) -> HttpRequest:
    return RequestFactory().get("/", headers=headers)


@pytest.mark.parametrize("given", ["7d1c", "!", "a-b_c:d/e=f~", "x" * 128])
def test_a_request_keeps_the_id_that_it_was_given(serving: Serve, given: str) -> None:
    answer = serving(asking(X_Request_ID=given))
    assert (answer.content.decode(), answer["X-Request-ID"]) == (given, given)


@pytest.mark.parametrize("given", ["", "a b", "é", "a\tb", "\x7f", "x" * 129])
def test_a_request_gets_an_id_in_place_of_an_odd_one(serving: Serve, given: str) -> None:
    answer = serving(asking(X_Request_ID=given))
    assert re.fullmatch(r"[0-9a-f]{32}", answer["X-Request-ID"])
    assert answer.content.decode() == answer["X-Request-ID"]


def test_each_request_has_an_id_of_its_own(serving: Serve) -> None:
    assert serving(asking())["X-Request-ID"] != serving(asking())["X-Request-ID"]


def test_the_id_ends_with_the_request(serving: Any) -> None:
    serving(asking())
    assert request_id.get() is None
    with pytest.raises(ValueError, match=r"[0-9a-f]{32}"):
        serving(asking(), failing_view)
    assert request_id.get() is None
