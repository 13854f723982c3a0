"""What wakes the dispatcher up."""

import threading


class Alarm:
    """Any thread may ring; only the dispatcher waits, and takes back the marks that say why.

    `ready`: there may be ready rows. `look`: due times, or what other servers left, have changed.
    `unforwarded`: no sibling was told yet of what made `ready` true.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self.ready = self.unforwarded = True
        self.look = True

    def work_is_ready(self) -> None:
        """Have ready rows claimed now."""
        self.more_is_ready()
        self._event.set()

    def work_is_offered(self) -> None:
        """Have ready rows claimed now, of which others are told by who offers them."""
        self.ready = True
        self._event.set()

    def more_is_ready(self) -> None:
        """Have ready rows claimed when there is room."""
        self.ready = self.unforwarded = True

    def nothing_is_ready(self) -> None:
        """Take back that there may be ready rows."""
        self.ready = self.unforwarded = False

    def agenda_changed(self) -> None:
        """Have the due times looked at now."""
        self.look = True
        self._event.set()

    def ring(self) -> None:
        """Wake the dispatcher up, for what it knows by itself."""
        self._event.set()

    def wait(self, timeout: float) -> None:
        """Wait until it rings, up to `timeout` seconds."""
        self._event.wait(max(timeout, 0.0))
        self._event.clear()
