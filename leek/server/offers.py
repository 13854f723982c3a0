"""What siblings offer, and whom of them to tell when there is room."""

import time
from collections.abc import Callable

from leek.protocol import BUSY, IDLE, TAKEN
from leek.server.commands import Control
from leek.server.conversation import Conversation

MOST_OFFERING = 256  # connections
LONGEST_OFFERING = 60.0  # seconds from an offer to the end of its connection


class Offers:
    """Connections over which siblings have offered work; all is done by the listener's thread.

    But for `found_no_more`: the dispatcher's thread calls that, and `wake` has the listener tell
    who is to be told.
    """

    def __init__(self, control: Control, wake: Callable[[], None]) -> None:
        self.deadlines: dict[Conversation, float] = {}  # the nearest one first
        self._control = control
        self._wake = wake
        self._to_be_told: set[Conversation] = set()  # as they have heard that this server is busy
        self._has_room = False

    def hear(self, conversation: Conversation) -> None:
        """Take up an offer, or say that there is no room, and later that there is."""
        self.deadlines[conversation] = time.monotonic() + LONGEST_OFFERING
        self._to_be_told.add(conversation)  # before the question, because room may come during it
        conversation.send_at_once()
        is_taken = self._control.offer()
        if is_taken:
            self._to_be_told.discard(conversation)
        conversation.reply(TAKEN if is_taken else BUSY)

    def leave(self, conversation: Conversation) -> None:
        """Forget a connection; its deadline is taken off already."""
        self._to_be_told.discard(conversation)

    def found_no_more(self) -> None:
        """Note that this server has room, and has found nothing more to do."""
        if self._to_be_told:
            self._has_room = True
            self._wake()

    def tell(self) -> None:
        """Tell those of the room that were sent away, if there is any."""
        if self._has_room:
            self._has_room = False
            for conversation in self._to_be_told:
                conversation.tell(IDLE)
            self._to_be_told.clear()
