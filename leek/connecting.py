"""How the other end of the socket is reached, within a time limit."""

import socket
import threading
import time

from leek.protocol import LOCALHOST

ADDRESS_LIFETIME = 60.0  # seconds for which a resolved name is believed


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """Connect to the first address of a host that accepts, within `timeout` seconds in all."""
    deadline = time.monotonic() + timeout
    refusals: list[OSError] = []
    for address in _addresses(host, timeout):
        try:
            left = max(deadline - time.monotonic(), 0.001)
            return socket.create_connection((address, port), left)
        except OSError as error:
            refusals.append(error)
    # A time-out weighs more, because the next try would cost as much.
    raise max(refusals, key=lambda refusal: isinstance(refusal, TimeoutError))


_resolved: dict[str, tuple[float, list[str]]] = {}


def _addresses(host: str, timeout: float) -> tuple[str, ...] | list[str]:
    """Return the addresses of a host; a name server costs at most `timeout` seconds."""
    if host == "localhost":
        return LOCALHOST
    expires, addresses = _resolved.get(host, (0.0, []))
    if time.monotonic() >= expires:
        addresses = _resolve(host, timeout)
        _resolved[host] = (time.monotonic() + ADDRESS_LIFETIME, addresses)
    return addresses


def _resolve(host: str, timeout: float) -> list[str]:
    """Ask the name server from a thread, because the question cannot be given a time limit."""
    answers: list[list[str] | OSError] = []

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            answers.append(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except OSError as error:
            answers.append(error)
        except ValueError as error:  # no name at all: too long, or with a NUL
            answers.append(OSError(str(error)))

    thread = threading.Thread(target=look_up, name="leek-resolver", daemon=True)
    thread.start()
    thread.join(timeout)
    if not answers:
        raise TimeoutError(f"the name {host} was not resolved in {timeout} s")
    if isinstance(answers[0], OSError):
        raise answers[0]
    return answers[0]
