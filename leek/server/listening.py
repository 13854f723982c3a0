"""Which of several places a server takes to listen at."""

from collections.abc import Sequence

from leek.connecting import is_here
from leek.exceptions import LeekError
from leek.places import Place
from leek.server.commands import Control
from leek.server.listener import Listener, PortInUse

PATIENCE = 5.0  # seconds for the name of a host to be resolved


class NoPlaceHere(LeekError):
    """None of several places is at this machine."""


def listener_at(places: Sequence[Place], control: Control) -> Listener:
    """Listen at the first place of this machine that is free; a single place has to be the one.

    Raise NoPlaceHere where none is of this machine, PortInUse where all of them are taken.
    """
    if len(places) > 1:
        places = _of_this_machine(places)
    taken = []
    for place in places:
        try:
            return Listener(place.host, place.port, control)
        except PortInUse as error:
            taken.append(str(error))
    raise PortInUse(", ".join(taken))


def _of_this_machine(places: Sequence[Place]) -> list[Place]:
    if here := [place for place in places if is_here(place.host, PATIENCE)]:
        return here
    named = ", ".join(map(str, places))
    raise NoPlaceHere(f"none of {named} is at this machine")
