"""Forwards to siblings that there is work which this server cannot start."""

import time
from collections.abc import Callable
from uuid import UUID

from leek import leases
from leek.models import Servers
from leek.places import Place
from leek.queues import Queues, adds_to, may_share
from leek.server.evidence import Evidence, Kind
from leek.server.offer_round import OfferRound
from leek.server.service import LateService, Outage
from leek.server.sibling_line import ANSWERED_WITHIN, SiblingLine, Standing
from leek.server.sibling_reader import SiblingReader
from leek.server.wakeable import WakeableSelector

KNOWN_FOR = 1.0  # seconds in which the siblings are not read again
READ_WITHIN = 0.02  # seconds after which those are asked that were known before
LAST_MOMENT = 0.3  # seconds to be heard by siblings when this server ends

Key = tuple[str, ...] | None  # the queues that siblings serve


class Forwarder(LateService):
    """Takes evidence of work that this server cannot start, and offers it to siblings.

    Any thread may bring evidence, and waits for nothing. One sibling of each set of queues that may
    be concerned is to take the offer. Those that were told that there is work, and are busy, look
    by themselves as soon as they have room; they are not asked before they say so.

    Without siblings there is no thread, and evidence waits for the first one: `found_siblings` is
    told of any. `on_idle` is called when a sibling says that it has room again.
    """

    name = "forwarder"

    def __init__(
        self, outage: Outage, boot: UUID, queues: Queues, on_idle: Callable[[], None]
    ) -> None:
        super().__init__(outage)
        self._queues = queues
        self._on_idle = on_idle
        self._reader = SiblingReader(outage, boot, self._siblings_read)
        self._found: list[Servers] | None = None  # read, and not looked at yet
        self._asked_reader_at = self._began_at = float("-inf")
        self._first_at: float | None = None  # when the first evidence of the next round came up
        self._is_known = False  # who there is, be it since long
        self._is_reading = False
        self._evidence = Evidence()
        self._has_siblings = False
        self._lines: dict[tuple[int, Place], SiblingLine] = {}
        self._sharing: tuple[SiblingLine, ...] = ()  # lines to who serves queues of this server
        self._rounds: dict[Key, OfferRound] = {}
        self._selector: WakeableSelector | None = None

    # What any thread calls

    def found_siblings(self, found: bool) -> None:
        """Note whether there are siblings."""
        self._has_siblings = found
        if found and (self._evidence or self._evidence.is_unread):
            self._begin_soon()

    @property
    def has_siblings(self) -> bool:
        """Whether there are siblings, as far as is known."""
        return self._has_siblings

    @property
    def may_find_room(self) -> bool:
        """Whether a sibling might start at once what is forwarded."""
        return self._has_siblings and (
            not self._is_known or any(line.may_have_room for line in self._sharing)
        )

    def surplus(self) -> None:
        """Forward that there are tasks in this server's queues."""
        self._note(Kind.OWN)

    def hinted(self) -> None:
        """Forward that there may be tasks in queues that this server does not serve."""
        if self._queues is not None:
            self._note(Kind.OTHERS)

    def cannot_start(self) -> None:
        """Forward that there may be tasks, whose queues are not known, and none is run here."""
        self._has_siblings = True  # nobody looks
        self._note(Kind.OWN)
        self._note(Kind.OTHERS)

    def wake(self) -> None:
        """Have the loop go on."""
        if selector := self._selector:
            selector.wake()

    def _note(self, kind: Kind) -> None:
        is_first = self._evidence.note(kind)
        concerned = self._concerned(kind)
        for line in concerned:
            line.remember()  # before the look at it, because it may get room during it
        is_in_vain = self._are_known and not any(line.may_have_room for line in concerned)
        if not is_in_vain:
            self._evidence.add(kind)
        if self._has_siblings and (is_first or not is_in_vain):
            self._begin_soon()

    def _begin_soon(self) -> None:
        self.start_once()
        self.wake()

    @property
    def _are_known(self) -> bool:
        """Whether the siblings were read not long ago."""
        return self._is_known and time.monotonic() < self._read_again_at

    @property
    def _read_again_at(self) -> float:
        return self._asked_reader_at + KNOWN_FOR

    def _concerned(self, kind: Kind) -> list[SiblingLine]:
        is_concerned = may_share if kind is Kind.OWN else adds_to
        lines = tuple(self._lines.values())
        return [line for line in lines if is_concerned(line.queues, self._queues)]

    def _siblings_read(self, found: list[Servers]) -> None:
        self._found = found
        self.wake()

    # What the thread does

    def run_once(self) -> None:
        """Wait for evidence, answers and deadlines; ask whom to ask."""
        self._go_on(self._seconds_left())

    def _go_on(self, timeout: float | None) -> None:
        for key, _ in self._opened_selector().select(timeout):
            key.data()
        self._take_up()
        self._read_if_due()
        if self._evidence and self._may_begin():
            self._begin_rounds()
        self._rounds = {key: each for key, each in self._rounds.items() if each.go_on()}

    def finish(self) -> None:
        """Have siblings hear of what is left, and end all connections."""
        deadline = time.monotonic() + LAST_MOMENT
        try:
            while self._is_busy and (left := deadline - time.monotonic()) > 0:
                seconds = self._seconds_left()
                self._go_on(left if seconds is None else min(left, seconds))
        finally:
            for line in self._lines.values():
                line.close()
            self._reader.stop()
            self._reader.join(LAST_MOMENT)  # its connection is closed by itself
            if self._selector is not None:
                self._selector.close()

    @property
    def _is_busy(self) -> bool:
        """Whether siblings are to hear of something, or it is being read who they are."""
        return bool(self._evidence or self._rounds or self._is_reading)

    def _opened_selector(self) -> WakeableSelector:
        """Return what to wait with; a system that is short of files may refuse it for a while."""
        if self._selector is None:
            self._selector = WakeableSelector()
        return self._selector

    def _take_up(self) -> None:
        """Use what other threads have left here, and give up whom to give up."""
        if (found := self._found) is not None:
            self._found = None
            self._update_lines(found)
        now = time.monotonic()
        for line in tuple(self._lines.values()):
            line.take_up()
            line.give_up_if_silent(now)

    def _update_lines(self, found: list[Servers]) -> None:
        """Keep a line for each sibling that can be reached from here."""
        lines = {}
        for server in found:
            if place := leases.reachable_at(server):
                key = server.pk, place
                lines[key] = self._lines.get(key) or self._new_line(place, server.queues)
        for key in self._lines.keys() - lines.keys():
            self._lines[key].close()
        some_joined = bool(lines.keys() - self._lines.keys())
        self._lines = lines  # before what was noted is taken: what comes up from now on is for all
        self._sharing = tuple(self._concerned(Kind.OWN))
        self._evidence.siblings_read(some_joined=some_joined)
        self._is_known, self._is_reading = True, False
        self._has_siblings = bool(lines)

    def _new_line(self, place: Place, queues: Queues) -> SiblingLine:
        selector = self._opened_selector()
        return SiblingLine(place, queues, selector, wake=self.wake, on_idle=self._on_idle)

    def _read_if_due(self) -> None:
        """Have the siblings read again where there is something for who may have joined."""
        now = time.monotonic()
        if (self._evidence or self._evidence.is_unread) and now >= self._read_again_at:
            self._asked_reader_at, self._is_reading = now, True
            self._reader.ask()

    def _may_begin(self) -> bool:
        """Tell whether it is time for a round."""
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
        return now >= self._begin_at

    @property
    def _begin_at(self) -> float:
        begin_at = self._began_at + self._evidence.pause
        if self._is_reading and self._first_at is not None:
            begin_at = max(begin_at, self._first_at + READ_WITHIN)
        return begin_at

    def _begin_rounds(self) -> None:
        """Offer what there is to one sibling of each set of queues that may be concerned."""
        self._began_at, self._first_at = time.monotonic(), None
        concerned = {line for kind in self._evidence.take() for line in self._concerned(kind)}
        by_queues: dict[Key, list[SiblingLine]] = {}
        for line in concerned:
            line.remember()
            queues = None if line.queues is None else tuple(sorted(line.queues))
            by_queues.setdefault(queues, []).append(line)
        for queues, lines in by_queues.items():
            self._rounds[queues] = OfferRound(lines)

    def _seconds_left(self) -> float | None:
        """Return the time until something is to be done, whatever is heard."""
        times = [each.next_step for each in self._rounds.values()]
        if self._evidence:
            times.append(self._begin_at)
        if self._evidence.is_unread and self._has_siblings and not self._is_reading:
            times.append(self._read_again_at)
        asked = (line for line in self._lines.values() if line.standing is Standing.ASKED)
        times.extend(line.asked_at + ANSWERED_WITHIN for line in asked)
        nearest = min((time for time in times if time is not None), default=None)
        return None if nearest is None else max(nearest - time.monotonic(), 0.0)
