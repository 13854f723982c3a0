"""Which processes of `runserver` run tasks as well."""

import sys

import pytest
from django.test import override_settings

from leek.runserver import wants_server


def is_wanted(monkeypatch: pytest.MonkeyPatch, run: str, argv: str, *, main: bool = False) -> bool:
    """Tell it for a process that is run so, and whose command line then reads like this."""
    monkeypatch.setattr(sys, "orig_argv", run.split())
    monkeypatch.setattr(sys, "argv", argv.split())
    monkeypatch.delenv("RUN_MAIN", raising=False)
    if main:
        monkeypatch.setenv("RUN_MAIN", "true")
    with override_settings(DEBUG=True, TASKS_QUEUE={"RUNSERVER": True}):
        return wants_server()


@pytest.mark.parametrize("start", ["python manage.py", "python -m django", "django-admin"])
def test_the_process_that_answers_requests_does(
    monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    run = f"{start} runserver 8000"
    assert is_wanted(monkeypatch, run, "manage.py runserver 8000", main=True)
    run = f"{start} runserver --noreload"
    assert is_wanted(monkeypatch, run, "manage.py runserver --noreload")


def test_the_process_that_starts_it_again_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_wanted(monkeypatch, "python manage.py runserver", "manage.py runserver")


@pytest.mark.parametrize("command", ["migrate", "leek_server", "shell", ""])
def test_other_commands_do_not(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    run = f"python manage.py {command}"
    assert not is_wanted(monkeypatch, run, f"manage.py {command}", main=True)


def test_a_child_process_with_the_command_line_of_its_parent_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not is_wanted(monkeypatch, "python -c code", "manage.py runserver", main=True)


@pytest.mark.parametrize(
    ("debug", "value"), [(False, True), (True, False), (True, "perhaps")], ids=str
)
def test_it_needs_the_setting_and_debug(
    monkeypatch: pytest.MonkeyPatch, debug: bool, value: object
) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["manage.py", "runserver", "--noreload"])
    monkeypatch.setattr(sys, "argv", ["manage.py", "runserver", "--noreload"])
    with override_settings(DEBUG=debug, TASKS_QUEUE={"RUNSERVER": value}):
        assert not wants_server()
