"""Hints: a push tells `leek_server` that there is work, over a connection that it keeps."""

import atexit
import logging
import os
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

from leek.conf import config, places
from leek.connecting import connect, in_turn
from leek.hint_line import HintLine
from leek.places import Place
from leek.retry import backoff

REFUSED_PAUSE = 1.0  # seconds without hints after a refusal
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # the same after a time-out, doubling

T = TypeVar("T")

logger = logging.getLogger("leek")


class Silence:
    """For how long a place is left alone, because of an error that it met last."""

    def __init__(self) -> None:
        self.until = 0.0
        self.error: OSError | None = None
        self._time_outs = 0

    @property
    def is_over(self) -> bool:
        """Whether the place may be tried."""
        return time.monotonic() >= self.until

    def begin(self, error: OSError) -> None:
        """Leave the place alone for a while."""
        timed_out = isinstance(error, TimeoutError)
        self._time_outs = self._time_outs + 1 if timed_out else 0
        pause = backoff(self._time_outs, FIRST_PAUSE, LONGEST_PAUSE) if timed_out else REFUSED_PAUSE
        self.until = time.monotonic() + pause
        self.error = error


class Hinter:
    """Sends hints to the first place that answers, and falls silent for a while where none does.

    A hint may be lost at the cost of some latency, so it never raises, and waits at most
    HINT_TIMEOUT for all places together; then the pushes of this process go without until the pause
    of one is over. Where no `place` is given, the settings name them. All threads share one line,
    which is used as long as it works, wherever it leads.
    """

    def __init__(self, place: Place | None = None) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._line: HintLine | None = None
        self._silences: dict[Place, Silence] = defaultdict(Silence)
        self._silent_until = 0.0  # at all places
        self._failing = False

    def hint(self) -> None:
        """Tell a server that there is work."""
        if (now := time.monotonic()) < self._silent_until:
            return
        patience = config.HINT_TIMEOUT
        # One thread is enough to look again where nobody answered.
        if self._lock.acquire(timeout=0 if self._failing else patience):
            try:
                if time.monotonic() >= self._silent_until:
                    self._try(now + patience)
            finally:
                self._lock.release()

    def connect(self, patience: float) -> socket.socket | None:
        """Return a connection to a server for other words than hints; None if nobody answers.

        It waits at most `patience` seconds, and where that is enough for a hint, a server that does
        not answer is left alone for a while, by hints as well.
        """
        if (now := time.monotonic()) < self._silent_until:
            return None
        if not self._lock.acquire(timeout=0 if self._failing else patience):
            return None
        try:
            if time.monotonic() < self._silent_until:
                return None
            counts = patience >= config.HINT_TIMEOUT
            return self._reach(_connect, self._places, now + patience, time_outs_count=counts)
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the connection; the next hint opens another."""
        with self._lock:
            self._drop_line()

    def in_forked_process(self) -> "Hinter":
        """Return what stands for this one after a fork: the line belongs to the other process."""
        self._drop_line()  # without the lock, which a thread may hold that is not here
        return Hinter(self._place)

    @property
    def _places(self) -> list[Place]:
        return places() if self._place is None else [self._place]

    def _try(self, deadline: float) -> None:
        at = self._places
        if not self._hint_again(at):
            self._line = self._reach(_hint_first, at, deadline)

    def _hint_again(self, at: Sequence[Place]) -> bool:
        """Use the line that is there, or else close it; return whether it could be used."""
        if self._line is None:
            return False
        if self._line.place in at and self._line.is_open():
            with suppress(OSError):
                self._line.hint()
                return True
        self._drop_line()
        return False

    def _drop_line(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _reach(
        self,
        reach: Callable[[Place, float], T],
        at: Sequence[Place],
        deadline: float,
        *,
        time_outs_count: bool = True,
    ) -> T | None:
        """Return what `reach` returns for the first place where it does not fail, if there is one.

        The others are left alone for a while.
        """
        to_try = [place for place in at if self._silences[place].is_over]
        for place, seconds in in_turn(to_try, deadline):
            try:
                reached = reach(place, seconds)
            except OSError as error:
                if time_outs_count or not isinstance(error, TimeoutError):
                    self._silences[place].begin(error)
            else:
                self._silences[place] = Silence()
                self._failing = False
                return reached
        self._fail({place: self._silences[place] for place in at})
        return None

    def _fail(self, silences: dict[Place, Silence]) -> None:
        """Have all places left alone until the first pause is over, and say so once."""
        if any(silence.error is None for silence in silences.values()):
            return  # it was not given the time to answer
        self._silent_until = min(silence.until for silence in silences.values())
        if not self._failing:
            self._failing = True
            logger.warning(
                "No leek_server is listening at %s. Tasks are stored, and run as soon as"
                " one is started: manage.py leek_server",
                ", ".join(f"{place} ({silence.error})" for place, silence in silences.items()),
            )


def _connect(place: Place, seconds: float) -> socket.socket:
    return connect(place.host, place.port, seconds)


def _hint_first(place: Place, seconds: float) -> HintLine:
    """Open a line by its first hint."""
    line = HintLine(place, _connect(place, seconds))
    try:
        line.hint()
    except BaseException:
        line.close()
        raise
    return line


hinter = Hinter()


def hint() -> None:
    """Tell a server that there is work; never raise, never wait for long."""
    hinter.hint()


def connect_for_a_while(patience: float) -> socket.socket | None:
    """Return a connection to the server that gets the hints; None where nobody answers."""
    return hinter.connect(patience)


@contextmanager
def hints_to(host: str, port: int) -> Iterator[None]:
    """Send all hints of this process to one server, whatever the settings say."""
    global hinter
    former, hinter = hinter, Hinter(Place(host, port))
    former.close()
    try:
        yield
    finally:
        hinter.close()
        hinter = former


def _begin_anew() -> None:
    global hinter
    hinter = hinter.in_forked_process()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
atexit.register(lambda: hinter.close())
