"""Payloads that somebody else wrote, damaged or renamed, in the table of a real leek_server."""

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.signing import Signer
from django.db import transaction
from django.test import override_settings

from leek.api import push_task_to_queue
from leek.exceptions import InvalidTask, TaskFailed
from leek.models import QueuedTasks
from leek.serializer import dump_task
from tests.conftest import StartServer
from tests.site import tasks
from tests.support import manage

ECHO = "tests.site.tasks.echo"


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Any, ...]]:
        """Pickle as a call."""
        return Path.touch, (self.path,)


def row_with(payload: str) -> QueuedTasks:
    """Push a task, and overwrite what is stored of it."""
    with transaction.atomic():  # no server sees it before it is complete
        row = push_task_to_queue(tasks.noop)
        QueuedTasks.objects.filter(pk=row.pk).update(payload=payload)
    return row


def signed_by(key: str, payload: str) -> str:
    """Return a payload with the signature of another site in place of its own."""
    with override_settings(SECRET_KEY=key):
        return Signer(salt="leek.payload").sign(payload.rpartition(":")[0])


FORGERIES: dict[str, Callable[[str], str]] = {
    "unsigned": lambda payload: payload.rpartition(":")[0],
    "signed with nothing": lambda payload: payload.rpartition(":")[0] + ":",
    "altered": lambda payload: payload.replace(ECHO, "tests.site.tasks.noop"),
    "signed with another key": lambda payload: signed_by("another", payload),
    "signed for something else": lambda payload: Signer(salt="other").sign(
        payload.rpartition(":")[0]
    ),
    "cut at its end": lambda payload: payload[:-1],
    "cut in half": lambda payload: payload[: len(payload) // 2],
    "cut at its beginning": lambda payload: payload[1:],
    "empty": lambda payload: "",
    "a bare pickle": lambda payload: json.loads(payload.rpartition(":")[0])["pickle"],
    "no text of ours": lambda payload: "🥬" * 100,
}


@pytest.mark.logs_errors
def test_a_forged_payload_fails_unread_and_costs_nobody_else_anything(
    start_server: StartServer, tmp_path: Path
) -> None:
    files = [tmp_path / f"made by {name}" for name in FORGERIES]
    payloads = [dump_task(ECHO, (Touch(file),), {}, "auto") for file in files]
    rows = [
        row_with(forge(payload))
        for forge, payload in zip(FORGERIES.values(), payloads, strict=True)
    ]
    server = start_server()
    assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
    for row in rows:
        with pytest.raises(TaskFailed, match="InvalidPayload: the payload is damaged"):
            row.wait(60)
        assert row.tries == 1
    assert not [file for file in files if file.exists()]
    assert not server.ended


def test_the_file_is_made_where_the_signature_is_right(
    start_server: StartServer, tmp_path: Path
) -> None:
    start_server()
    row_with(dump_task(ECHO, (Touch(tmp_path / "made"),), {}, "auto")).wait(60)
    assert (tmp_path / "made").exists()


ODD_DOCUMENTS = [
    "null",
    "[]",
    "{}",
    "not JSON",
    '{"callable": "tests.site.tasks.noop"}',
    '{"callable": "tests.site.tasks.noop", "args": []}',
    '{"callable": "tests.site.tasks.noop", "args": 5, "kwargs": {}}',
    '{"callable": "tests.site.tasks.noop", "pickle": "!"}',
    json.dumps({"callable": ECHO, "pickle": b64encode(b"\x80\x04cut").decode()}),
    json.dumps({"callable": ECHO, "pickle": ["a list"]}),
]


@pytest.mark.logs_errors
def test_a_signed_text_of_another_format_fails_and_costs_nobody_else_anything(
    start_server: StartServer,
) -> None:
    rows = [row_with(Signer(salt="leek.payload").sign(text)) for text in ODD_DOCUMENTS]
    server = start_server(LEEK_MAX_RETRIES="1")
    assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
    for row in rows:
        with pytest.raises(TaskFailed):
            row.wait(60)
    assert not server.ended


ODD_CALLABLES = ["tests.site.tasks.gone", "gone.tasks.send", "tests.site.tasks", "nowhere", "a b.c"]


@pytest.mark.logs_errors
def test_a_callable_that_is_gone_costs_nobody_else_anything(start_server: StartServer) -> None:
    rows = [row_with(dump_task(path, (), {}, "auto")) for path in ODD_CALLABLES]
    start_server(LEEK_PARK_FOR="0")
    assert push_task_to_queue(tasks.add, 1, 2).wait(60) == 3
    for row in rows:
        with pytest.raises(TaskFailed):
            row.wait(60)


@pytest.mark.logs_errors
def test_json_alone_never_reads_a_pickle(start_server: StartServer, tmp_path: Path) -> None:
    row = row_with(dump_task(ECHO, (Touch(tmp_path / "made"),), {}, "auto"))
    start_server(LEEK_SERIALIZER="json")
    with pytest.raises(TaskFailed, match=r'"SERIALIZER".* = "json" refuses'):
        row.wait(60)
    assert not (tmp_path / "made").exists()
    assert push_task_to_queue(tasks.echo, (1, {2})).wait(60) == {"args": ((1, {2}),), "kwargs": {}}


@pytest.mark.django_db
def test_json_alone_never_stores_a_pickle(tmp_path: Path) -> None:
    with (
        override_settings(TASKS_QUEUE={"SERIALIZER": "json"}),
        pytest.raises(InvalidTask, match=r"args\[0\]: JSON cannot hold"),
    ):
        push_task_to_queue(tasks.echo, Touch(tmp_path / "made"))
    assert not QueuedTasks.objects.exists()


@pytest.mark.logs_errors
def test_a_key_may_be_changed_while_tasks_wait(start_server: StartServer) -> None:
    former, latter = {"TESTS_SECRET_KEY": "former"}, {"TESTS_SECRET_KEY": "latter"}
    changing = latter | {"TESTS_SECRET_KEY_FALLBACKS": "former"}

    def push(**keys: str) -> QueuedTasks:
        answer = manage("leek_push", "tests.site.tasks.noop", **keys)
        return QueuedTasks.objects.get(pk=answer.stdout.split()[-1].rstrip("."))

    before = push(**former)
    server = start_server(**changing)
    for row in (before, push(**former), push(**changing), push(**latter)):
        assert row.wait(60) is None
    assert server.terminate() == 0
    too_late = push(**former)
    start_server(**latter)
    assert push(**latter).wait(60) is None
    with pytest.raises(TaskFailed, match="SECRET_KEY_FALLBACKS"):
        too_late.wait(60)


def test_a_renamed_task_runs_where_its_alias_leads(start_server: StartServer) -> None:
    rows = [
        row_with(dump_task("shop.tasks.add_up", (1, 2), {}, "auto")),
        row_with(dump_task("shop.Sums.double", (4,), {}, "pickle")),
    ]
    start_server(
        LEEK_ALIASES="shop.tasks.add_up=tests.site.tasks.add,"
        "shop.Sums.double=tests.site.tasks.Calculator.double"
    )
    assert [row.wait(60) for row in rows] == [3, 8]
