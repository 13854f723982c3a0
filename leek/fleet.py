"""The servers of the fleet: all of them are asked, or ordered to stop, side by side."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import UUID

from leek import client, leases
from leek.conf import places
from leek.connecting import addresses_of, is_here
from leek.connections import close_connections
from leek.exceptions import ServerUnreachable
from leek.places import Place
from leek.protocol import Reply

PATIENCE = 1.0  # seconds for all servers together to tell how they are
LOOK_INTERVAL = 0.1  # seconds between two looks at the leases of those that may run on

T = TypeVar("T")
R = TypeVar("R")


class Member(NamedTuple):
    """A server by its name for people, and where it is reached; None where it cannot be.

    `boot` tells its start from others, if it has a lease.
    """

    name: str
    place: Place | None
    boot: UUID | None = None


Told = tuple[Member, Reply | ServerUnreachable]


def ask_each(at: Iterable[Place]) -> dict[Place, Reply]:
    """Ask whether the Worker is on at each of these places; return what is answered in time."""

    def ask(place: Place) -> Reply | None:
        with suppress(ServerUnreachable):
            return client.ask_in_turn("ping", [place], PATIENCE).reply
        return None

    asked = side_by_side(ask, dict.fromkeys(at), PATIENCE)
    return {place: reply for place, reply in asked if reply}


def members() -> list[Member]:
    """Return the servers that listen: those with a lease, and those at places that have none.

    A server has no lease while its Worker is off.
    """
    leased = [
        Member(
            f"{each.hostname} {Place(each.address, each.port)}",
            leases.reachable_at(each),
            each.boot,
        )
        for each in leases.listening()
    ]
    at = places()
    answering = ask_each(at)
    others = _others([place for place in at if place in answering], leased)
    return [*leased, *(Member(str(place), place) for place in others)]


def command_each(name: str, to: Iterable[Member]) -> Iterator[Told]:
    """Give an order to servers that ends their leases; yield each with its answer when it is done.

    Where hosts use the same addresses, for their containers say, another server than was meant may
    answer. So who has a lease after the answer is believed when that is over.
    """

    def order(place: Place | None) -> Reply | ServerUnreachable:
        if place is None:
            return ServerUnreachable("It listens at its own machine only.")
        try:
            return client.command(name, host=place.host, port=place.port)
        except ServerUnreachable as error:
            return error

    close_connections()  # one that is idle may break, for the answers may be hours away
    at: dict[Place | None, list[Member]] = {}
    for member in to:
        at.setdefault(member.place, []).append(member)
    doubted: dict[Member, tuple[Reply, datetime]] = {}
    for place, answer in side_by_side(order, at):
        for member in at[place]:
            if isinstance(answer, Reply) and answer.ok and (expiry := _expiry(member)):
                doubted[member] = answer, expiry
            else:
                yield member, answer
    yield from _watched(doubted)


def _watched(doubted: dict[Member, tuple[Reply, datetime]]) -> Iterator[Told]:
    """Yield servers that had leases until then after their answers, when these are over or renewed.

    One that runs on renews its lease. One that could not end it when it stopped does not.
    """
    while doubted:
        for member, (answer, until) in tuple(doubted.items()):
            expiry = _expiry(member)
            if expiry is None:
                yield member, answer
            elif expiry > until:
                yield member, ServerUnreachable(f"Another server answers at {member.place}.")
            else:
                continue
            del doubted[member]
        if doubted:
            time.sleep(LOOK_INTERVAL)


def _expiry(member: Member) -> datetime | None:
    return leases.expiry(member.boot) if member.boot else None


def _others(found: Sequence[Place], leased: Sequence[Member]) -> list[Place]:
    """Return one place of each server found that has no lease, as far as their addresses tell."""
    if not found:
        return []
    known = [member.place for member in leased if member.place]
    hosts = dict.fromkeys(place.host for place in (*known, *found))
    addresses = dict(side_by_side(_addresses, hosts, PATIENCE))

    def ends(place: Place) -> set[tuple[str, int]]:
        return {(address, place.port) for address in addresses.get(place.host, ())}

    others = []
    taken = set().union(*map(ends, known))
    for place in found:
        if taken.isdisjoint(ends(place)):
            others.append(place)
            taken |= ends(place)
    return others


def _addresses(host: str) -> set[str]:
    """Return the addresses of a host, for those of this machine just one."""
    try:
        found = addresses_of(host, PATIENCE)
    except OSError:
        return set()
    return {"here"} if is_here(host, PATIENCE) else set(found)


def side_by_side(
    work: Callable[[T], R], items: Iterable[T], patience: float | None = None
) -> Iterator[tuple[T, R]]:
    """Yield items with what `work` returns for each, as soon as it does, for so many seconds.

    Its threads are not waited for when the process ends.
    """
    pending: dict[Future[R], T] = {}
    for item in items:
        future: Future[R] = Future()
        pending[future] = item
        threading.Thread(
            target=_fulfil, args=[future, work, item], name="leek-fleet", daemon=True
        ).start()
    with suppress(TimeoutError):
        for future in as_completed(pending, patience):
            yield pending[future], future.result()


def _fulfil(future: Future[R], work: Callable[[T], R], item: T) -> None:
    try:
        future.set_result(work(item))
    except Exception as error:  # noqa: BLE001 (who waits for the result gets it)
        future.set_exception(error)
