"""How long connections wait for another end that is gone without a word."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, connections

from leek.database import have_brief_transactions, watched_links

pytestmark = pytest.mark.django_db

LEASE = 30.0
on_servers = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no links")
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="for PostgreSQL only")
on_mariadb = pytest.mark.skipif(connection.vendor != "mysql", reason="for MariaDB only")


@contextmanager
def new_connection() -> Iterator[Any]:
    """Connect once more to the test database."""
    other = connection.copy()
    try:
        other.ensure_connection()
        yield other
    finally:
        other.close()


def waits(connection: Any) -> dict[str, int]:
    """Return how long this end of a connection waits, by libpq's names."""
    options = {
        "keepalives_idle": socket.TCP_KEEPIDLE,
        "keepalives_interval": socket.TCP_KEEPINTVL,
        "keepalives_count": socket.TCP_KEEPCNT,
        "tcp_user_timeout": socket.TCP_USER_TIMEOUT,
    }
    with socket.socket(fileno=os.dup(connection.connection.fileno())) as link:
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        return {
            name: link.getsockopt(socket.IPPROTO_TCP, option) for name, option in options.items()
        }


def answer(connection: Any, sql: str) -> Any:
    """Return what a statement gives."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


@on_servers
def test_a_connection_gives_up_a_dead_link_after_half_a_lease() -> None:
    with watched_links(LEASE), new_connection() as other:
        watched = waits(other)
    with new_connection() as other:
        assert waits(other)["tcp_user_timeout"] == 0
    assert watched == {
        "keepalives_idle": 8,
        "keepalives_interval": 4,
        "keepalives_count": 2,
        "tcp_user_timeout": 15_000,
    }


@on_postgresql
def test_postgresql_gives_up_a_dead_link_after_a_lease() -> None:
    with watched_links(LEASE), new_connection() as other:
        assert answer(other, "SHOW tcp_user_timeout") == "30000"
        assert answer(other, "SHOW tcp_keepalives_idle") == "15"


@on_postgresql
def test_what_a_site_sets_for_postgresql_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {
        "keepalives_idle": 77,
        "tcp_user_timeout": 66_000,
        "options": "-c tcp_user_timeout=55000",
    }
    for name, value in chosen.items():
        monkeypatch.setitem(connections.settings["default"]["OPTIONS"], name, value)
    with watched_links(LEASE), new_connection() as other:
        set_here = waits(other)
        assert answer(other, "SHOW tcp_user_timeout") == "55000"
        assert answer(other, "SHOW tcp_keepalives_count") == "2"
    assert (set_here["keepalives_idle"], set_here["tcp_user_timeout"]) == (77, 66_000)
    assert set_here["keepalives_interval"] == 4


@on_mariadb
@pytest.mark.parametrize(("chosen", "expected"), [(0, 30), (77, 77)])
def test_mariadb_ends_transactions_that_rest_only_where_they_are_leeks_own(
    chosen: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not getattr(connection, "mysql_is_mariadb", False):
        pytest.skip("MySQL does not end transactions that rest")
    options = connections.settings["default"]["OPTIONS"]
    init = f"SET SESSION idle_transaction_timeout = {chosen}"
    monkeypatch.setitem(options, "init_command", init)
    asked = "SELECT @@idle_transaction_timeout"
    found: list[int] = []

    def ask_briefly() -> None:
        have_brief_transactions()
        with new_connection() as other:
            found.append(answer(other, asked))

    with watched_links(LEASE):
        thread = threading.Thread(target=ask_briefly)
        thread.start()
        thread.join()
        with new_connection() as other:
            found.append(answer(other, asked))
    assert found == [expected, chosen]


def test_a_database_without_links_is_as_it_was() -> None:
    with watched_links(LEASE), new_connection() as other:
        assert answer(other, "SELECT 1") == 1
