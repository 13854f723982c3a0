"""How the other end of the socket is reached, within a time limit, and whether it is here."""

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

from leek.protocol import LOCALHOST

ADDRESS_LIFETIME = 60.0  # seconds for which a resolved name is believed
DOUBTED_LIFETIME = 10.0  # the same, once more, after a look-up that has failed
SHORTEST_TRY = 0.001  # seconds

T = TypeVar("T")

_answered: dict[tuple[str, int], str] = {}  # which address, where another had not


def in_turn(to_try: Sequence[T], deadline: float) -> Iterator[tuple[T, float]]:
    """Yield what is to try with the seconds that each may take: they share what is left."""
    for number, each in enumerate(to_try):
        left = deadline - time.monotonic()
        yield each, max(left / (len(to_try) - number), SHORTEST_TRY)


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """Connect to the first address of a host that accepts, within `timeout` seconds in all.

    They share the time. One that accepts where another did not has the first turn from then on, so
    that a dead one does not cost its share each time.
    """
    deadline = time.monotonic() + timeout
    refusals: list[OSError] = []
    answered = _answered.get((host, port))
    addresses = sorted(addresses_of(host, timeout), key=lambda address: address != answered)
    for address, seconds in in_turn(addresses, deadline):
        try:
            connection = socket.create_connection((address, port), seconds)
        except OSError as error:
            refusals.append(error)
        else:
            if refusals:
                _answered[host, port] = address
            return connection
    # A time-out weighs more, because the next try would cost as much.
    raise max(refusals, key=lambda refusal: isinstance(refusal, TimeoutError))


def is_here(host: str, timeout: float) -> bool:
    """Tell whether the first address of a host is one of this machine: only those can be bound."""
    try:
        address = addresses_of(host, timeout)[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


_resolved: dict[str, tuple[float, list[str]]] = {}
_look_ups: dict[str, Future[list[str]]] = {}  # that are under way


def addresses_of(host: str, timeout: float) -> tuple[str, ...] | list[str]:
    """Return the addresses of a host; a name server costs at most `timeout` seconds.

    Where it gives no new answer, the former one stands, and half of the time is left.
    """
    if host == "localhost":
        return LOCALHOST
    expires, known = _resolved.get(host, (0.0, []))
    if time.monotonic() < expires:
        return known
    mine: Future[list[str]] = Future()
    look_up = _look_ups.setdefault(host, mine)
    if look_up is mine:
        _begin_look_up(host, known)
    elif known:
        return known  # one who waits for the name server is enough
    try:
        return look_up.result(timeout / 2 if known else timeout)
    except OSError as error:
        if known:
            return known
        if isinstance(error, TimeoutError):
            raise TimeoutError(f"the name {host} was not resolved in {timeout} s") from None
        raise


def _begin_look_up(host: str, known: list[str]) -> None:
    """Ask the name server from a thread, because the question cannot be given a time limit."""
    try:
        threading.Thread(
            target=_look_up, args=[host, known], name="leek-resolver", daemon=True
        ).start()
    except RuntimeError as error:  # there can be no more threads
        _look_ups.pop(host).set_exception(OSError(str(error)))


def _look_up(host: str, known: list[str]) -> None:
    try:
        addresses = _resolve(host, known)
    except Exception as error:  # noqa: BLE001 (who waits for the look-up gets it)
        _look_ups.pop(host).set_exception(error)
    else:
        _look_ups.pop(host).set_result(addresses)


def _resolve(host: str, known: list[str]) -> list[str]:
    """Keep what the name server answers, however late that is."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except ValueError as error:  # no name at all: too long, or with a NUL
        raise OSError(str(error)) from error
    except OSError:
        if not known:
            raise
        addresses, lifetime = known, DOUBTED_LIFETIME
    else:
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        lifetime = ADDRESS_LIFETIME
    _resolved[host] = (time.monotonic() + lifetime, addresses)
    return addresses


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_look_ups.clear)  # their threads are not there
