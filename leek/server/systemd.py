"""Tells systemd how this server is, in the words of sd_notify(3); says nothing to anybody else."""

import os
import socket
from collections.abc import MutableMapping

from leek.server.journal import journal

LONGEST_SILENCE = 20.0  # seconds between two signs of life, if systemd does not want them sooner
SEND_TIMEOUT = 1.0  # seconds that systemd may take to accept a message
# The time to start in goes on for a minute, from each of these messages on.
STILL_STARTING = ("EXTEND_TIMEOUT_USEC=60000000", "STATUS=Starting: needs the database")


class Systemd:
    """Takes from the supervisor what happens, and hands it on; where it cannot, it says so once.

    What systemd put into the environment is taken out of it, so that no program that a task starts
    speaks in this server's name.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._address = _address(environ.pop("NOTIFY_SOCKET", ""))
        self._watchdog = _watchdog_interval(
            environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        )
        self._has_started = False
        self._is_warned = False

    @property
    def interval(self) -> float | None:
        """The seconds within which a sign of life is due, None for never."""
        if self._address is None:
            return None
        return self._watchdog if self._has_started else self._watchdog or LONGEST_SILENCE

    def alive(self) -> None:
        """Say that the main thread goes on; until the start is over, also ask for time."""
        watchdog = ("WATCHDOG=1",) if self._watchdog else ()
        starting = () if self._has_started else STILL_STARTING
        if words := watchdog + starting:
            self._tell(*words)

    def ready(self, status: str) -> None:
        """Say that the start is over, and how the server is."""
        self._has_started = True
        self._tell("READY=1", f"STATUS={status}")

    def stopping(self) -> None:
        """Say that the server is about to end."""
        self._has_started = True
        self._tell("STOPPING=1", "STATUS=Stopping")

    def _tell(self, *words: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_TIMEOUT)
                sender.sendto("\n".join(words).encode(), self._address)
        except OSError as error:
            if not self._is_warned:
                journal.warning("systemd cannot be told how this server is: %s", error)
            self._is_warned = True


def _address(text: str) -> str | None:
    """Return where systemd listens: a path, or with "@" for NUL a name that is no path."""
    if text.startswith("/"):
        return text
    if text.startswith("@"):
        return f"\0{text[1:]}"
    if text:
        journal.warning("NOTIFY_SOCKET is %r, neither a path nor @ and a name: not used", text)
    return None


def _watchdog_interval(usec: str, pid: str) -> float | None:
    """Return half of the time without a sign after which systemd ends this process, if it does."""
    if not usec.isdecimal() or pid not in ("", str(os.getpid())):
        return None
    return min(float(usec) / 2_000_000, LONGEST_SILENCE) or None
