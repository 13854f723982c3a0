"""The system checks."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks.registry import registry
from django.db.utils import ConnectionHandler
from django.test import override_settings

from leek.checks import check_database, check_settings

IMMEDIATE = {"transaction_mode": "IMMEDIATE"}
WAL = {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LEEK_")]:
        monkeypatch.delenv(name)


def errors() -> list[CheckMessage]:
    """Return the errors that leek reports."""
    messages = [*check_settings(None), *check_database(None)]
    return [message for message in messages if str(message.id).startswith("leek.E")]


def use_sqlite(
    monkeypatch: pytest.MonkeyPatch, name: Path | str, options: dict[str, Any] | None = None
) -> None:
    """Let leek see an SQLite database with these options."""
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": options or {}}
    monkeypatch.setattr(
        "leek.database.sqlite.connections", ConnectionHandler({"default": database})
    )


def make_file(path: Path, journal_mode: str) -> Path:
    """Make an SQLite file, as another program would leave it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal_mode}")
        connection.execute("CREATE TABLE words (word TEXT)")
        connection.commit()
    return path


def test_django_runs_the_checks() -> None:
    assert {check_settings, check_database} <= registry.registered_checks


# Settings


@pytest.mark.parametrize("given", [{}, {"MAX_RETRIES": 5}, {"LEASE": 10, "QUEUES": ["mail"]}])
def test_good_settings_pass(given: dict[str, object]) -> None:
    with override_settings(TASKS_QUEUE=given):
        assert errors() == []


@pytest.mark.parametrize("given", [None, 5, "MAX_RETRIES=3", ["MAX_RETRIES"], [("LEASE", 3)]])
def test_settings_that_are_no_dictionary_are_an_error(given: object) -> None:
    with override_settings(TASKS_QUEUE=given):
        (error,) = errors()
    assert error.id == "leek.E001"
    assert repr(given) in error.msg
    assert 'TASKS_QUEUE = {"MAX_RETRIES": 3}' in str(error.hint)


def test_an_unknown_key_is_an_error_with_a_hint() -> None:
    with override_settings(TASKS_QUEUE={"MAX_RETRY": 3}):
        (error,) = errors()
    assert error.id == "leek.E002"
    assert '"MAX_RETRY"' in error.msg
    assert error.hint == 'Did you mean "MAX_RETRIES"?'


def test_a_wrong_value_is_an_error_with_a_hint() -> None:
    with override_settings(TASKS_QUEUE={"MAX_RETRIES": "three"}):
        (error,) = errors()
    assert error.id == "leek.E003"
    assert error.msg == "TASKS_QUEUE[\"MAX_RETRIES\"] is 'three'."
    assert error.hint == "Set it to a whole number from 1 (default: 3)."


def test_a_wrong_variable_of_the_environment_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEEK_WORKERS", "many")
    (error,) = errors()
    assert error.id == "leek.E003"
    assert error.msg == "LEEK_WORKERS is 'many'."


def test_a_misspelt_variable_of_the_environment_is_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LEEK_WORKER", "4")
    monkeypatch.setenv("LEEK_SOUP_RECIPE", "of somebody else")
    (warning,) = check_settings(None)
    assert warning.id == "leek.W002"
    assert warning.msg == "The environment variable LEEK_WORKER sets nothing."
    assert warning.hint == 'Did you mean "LEEK_WORKERS"?'


def test_atomic_tasks_of_another_database_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.DATABASES, "queue", settings.DATABASES["default"])
    with override_settings(TASKS_QUEUE={"ATOMIC_TASKS": True, "DATABASE": "queue"}):
        (error,) = [error for error in check_settings(None) if error.id != "leek.W001"]
    assert error.id == "leek.E004"
    assert 'atomic in the database "default", but the queue is in "queue"' in error.msg
    assert "ATOMIC_TASKS" in str(error.hint)


def test_every_mistake_is_reported_at_once() -> None:
    with override_settings(TASKS_QUEUE={"COLOUR": 1, "FLAVOUR": 2, "WORKERS": 0, "LEASE": 0}):
        found = sorted(str(error.id) for error in errors())
    assert found == ["leek.E002", "leek.E002", "leek.E003", "leek.E003"]


def test_a_database_that_is_not_there_is_one_error() -> None:
    with override_settings(TASKS_QUEUE={"DATABASE": "elsewhere"}):
        (error,) = errors()
    assert error.id == "leek.E003"
    assert "'elsewhere'" in error.msg


# SQLite


def test_sqlite_as_django_sets_it_up_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_sqlite(monkeypatch, tmp_path / "new.sqlite3")
    (warning,) = check_database(None)
    assert warning.id == "leek.W001"
    assert 'The SQLite database "default" lacks WAL and immediate transactions' in warning.msg
    assert 'DATABASES["default"]' in str(warning.hint)


def test_sqlite_with_both_options_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_sqlite(monkeypatch, tmp_path / "new.sqlite3", IMMEDIATE | WAL)
    assert check_database(None) == []


def test_the_hint_itself_is_what_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_sqlite(monkeypatch, tmp_path / "new.sqlite3")
    (warning,) = check_database(None)
    for name, value in (IMMEDIATE | WAL).items():
        assert f'"{name}": "{value}"' in str(warning.hint)


def test_a_lack_of_wal_is_named_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_sqlite(monkeypatch, make_file(tmp_path / "old.sqlite3", "DELETE"), IMMEDIATE)
    (warning,) = check_database(None)
    assert "lacks WAL:" in warning.msg


def test_a_lack_of_immediate_transactions_is_named_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_sqlite(monkeypatch, tmp_path / "new.sqlite3", WAL)
    (warning,) = check_database(None)
    assert "lacks immediate transactions:" in warning.msg


@pytest.mark.parametrize("mode", ["DEFERRED", "", None])
def test_deferred_transactions_are_not_immediate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str | None
) -> None:
    use_sqlite(monkeypatch, tmp_path / "new.sqlite3", WAL | {"transaction_mode": mode})
    assert len(check_database(None)) == 1


@pytest.mark.parametrize("mode", ["IMMEDIATE", "immediate", "EXCLUSIVE"])
def test_immediate_transactions_have_several_spellings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str
) -> None:
    use_sqlite(monkeypatch, tmp_path / "new.sqlite3", WAL | {"transaction_mode": mode})
    assert check_database(None) == []


@pytest.mark.parametrize("spelled", [str, Path])
def test_wal_is_read_off_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spelled: type[str | Path]
) -> None:
    file = make_file(tmp_path / "wal.sqlite3", "WAL")
    use_sqlite(monkeypatch, spelled(file), IMMEDIATE)
    assert check_database(None) == []


@pytest.mark.parametrize("content", [b"", b"short", b"\x00" * 100, b"\x02" * 18 + b"\x01"])
def test_a_file_that_is_no_database_has_no_wal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "odd.sqlite3"
    file.write_bytes(content)
    use_sqlite(monkeypatch, file, IMMEDIATE)
    assert len(check_database(None)) == 1


def test_the_check_does_not_create_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_sqlite(monkeypatch, tmp_path / "new.sqlite3")
    check_database(None)
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_only_mentions_wal_does_not_turn_it_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = IMMEDIATE | {"init_command": "PRAGMA wal_autocheckpoint=100"}
    use_sqlite(monkeypatch, tmp_path / "new.sqlite3", options)
    assert len(check_database(None)) == 1


def test_a_database_in_memory_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    use_sqlite(monkeypatch, ":memory:")
    assert check_database(None) == []


def test_other_databases_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        vendor = "postgresql"

    monkeypatch.setattr("leek.database.sqlite.connections", {"default": Other()})
    assert check_database(None) == []


@pytest.mark.parametrize(("debug", "ids"), [(False, ["leek.W003"]), (True, [])])
def test_runserver_that_is_to_run_tasks_without_debug_is_reported(
    debug: bool, ids: list[str]
) -> None:
    with override_settings(DEBUG=debug, TASKS_QUEUE={"RUNSERVER": True}):
        assert [message.id for message in check_settings(None)] == ids


# The token of health and metrics


def token_messages(token: object) -> list[CheckMessage]:
    """Return what is said of a token."""
    with override_settings(TASKS_QUEUE={"HEALTH_TOKEN": token}):
        return check_settings(None)


@pytest.mark.parametrize("token", [None, "x" * 16, "a long one with spaces and é"])
def test_a_token_that_is_hard_to_guess_is_no_problem(token: str | None) -> None:
    assert token_messages(token) == []


@pytest.mark.parametrize("token", ["7", "x" * 15])
def test_a_short_token_is_warned_of(token: str) -> None:
    (message,) = token_messages(token)
    assert message.id == "leek.W004"
    assert f"{len(token)} character(s)" in message.msg
    assert "secrets.token_urlsafe()" in str(message.hint)


@pytest.mark.parametrize(
    "token", ["", " ", "two\nlines", " secret", "secret\t", "\ud800", 4711, b"x"]
)
def test_what_is_no_token_is_an_error_that_does_not_show_it(token: object) -> None:
    (message,) = token_messages(token)
    assert message.id == "leek.E003"
    assert message.msg.startswith('TASKS_QUEUE["HEALTH_TOKEN"] is ')
    assert "secret" not in message.msg
    assert "4711" not in f"{message.msg} {message.hint}"
    assert "secrets.token_urlsafe()" in str(message.hint)


def test_an_empty_token_of_the_environment_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEEK_HEALTH_TOKEN", "")
    (message,) = check_settings(None)
    assert (message.id, message.msg) == ("leek.E003", "LEEK_HEALTH_TOKEN is empty.")
