"""Where servers are entered as reachable, and who is told apart by that."""

import uuid

import pytest
from django.db import connection

from leek import leases
from leek.models import Servers

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

ELSEWHERE = "another-host"


def a_server(address: str, port: int = 1, host: str | None = None) -> Servers:
    """Register a server."""
    server = leases.register(address=address, port=port, workers=1, queues=None, seconds=30)
    if host:
        server.host, server.hostname = host, host
        server.save()
    return server


@pytest.mark.parametrize(
    ("address", "host", "place"),
    [
        ("127.0.0.1", None, ("127.0.0.1", 1)),
        ("127.0.0.1", ELSEWHERE, None),
        ("::1", ELSEWHERE, None),
        ("10.0.0.5", None, ("10.0.0.5", 1)),
        ("10.0.0.5", ELSEWHERE, ("10.0.0.5", 1)),
        ("0.0.0.0", None, ("localhost", 1)),
        ("0.0.0.0", ELSEWHERE, (ELSEWHERE, 1)),
    ],
)
def test_tells_where_a_server_is_reached(
    address: str, host: str | None, place: tuple[str, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "HOST", "")
    assert leases.reachable_at(a_server(address, host=host)) == place


def test_who_does_not_listen_is_not_reached() -> None:
    assert leases.reachable_at(a_server("10.0.0.5", port=0)) is None


@pytest.mark.parametrize(
    "host", ["", "/run/postgresql", "127.0.0.1", "::1", "no.such.host.invalid"]
)
def test_who_listens_everywhere_is_entered_so_where_the_database_is_not_elsewhere(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "HOST", host)
    assert a_server("0.0.0.0").address == "0.0.0.0"


def test_who_listened_everywhere_at_this_port_is_a_predecessor() -> None:
    before, elsewhere = a_server("10.0.0.4"), a_server("10.0.0.5", host=ELSEWHERE)
    before.address = "0.0.0.0"
    before.save()
    server = a_server("10.0.0.6")
    assert leases.predecessors(server) == [before]
    assert elsewhere in leases.siblings(server.boot)


def test_siblings_live_and_listen() -> None:
    server, sibling = a_server("10.0.0.5"), a_server("10.0.0.6")
    a_server("10.0.0.7", port=0)
    leases.register(address="10.0.0.8", port=1, workers=1, queues=None, seconds=-1)
    assert leases.siblings(server.boot) == [sibling]
    assert sorted(each.pk for each in leases.siblings(uuid.uuid4())) == [server.pk, sibling.pk]


def test_who_is_reached_at_the_place_of_a_server_is_no_sibling_of_it() -> None:
    server = a_server("172.17.0.2")
    a_server("172.17.0.2", host=ELSEWHERE)
    sibling = a_server("172.17.0.2", port=2, host=ELSEWHERE)
    assert leases.siblings(server.boot) == [sibling]


def test_who_listens_everywhere_at_the_same_port_of_another_host_is_a_sibling() -> None:
    server, sibling = a_server("0.0.0.0"), a_server("0.0.0.0", host=ELSEWHERE)
    assert leases.siblings(server.boot) == [sibling]
