"""The socket server: accepts, reads one line, replies."""

import errno
import io
import os
import secrets
import socket
import socketserver
import threading
import time
from typing import Any

from leek.exceptions import LeekError, ProtocolError
from leek.protocol import LOCALHOST, WRONG_SECRET, Reply, encode_reply, read_word
from leek.server import commands
from leek.server.commands import Control
from leek.server.journal import journal

READ_TIMEOUT = 2.0  # seconds for a client to send its line
MOST_CONNECTIONS = 64
POLL_INTERVAL = 0.25  # seconds in which the accepting loop notices that it is to end


class PortInUse(LeekError):
    """Somebody else listens at this address."""


class DeadlineStream(io.RawIOBase):
    """What a socket receives within so many seconds in all, however slowly it drips."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Receive into a buffer; raise TimeoutError after the deadline."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the line did not come in time")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class Conversation(socketserver.BaseRequestHandler):
    """One connection: a hint, or a question or command with its reply."""

    server: "TaskSocketServer"
    request: socket.socket

    def handle(self) -> None:
        """Read a line, act on it, reply; anything else costs the sender its connection."""
        try:
            word = self._read()
            if word == "hint":
                self.server.control.hint()
            elif word in commands.ORDERS:
                self._obey(word)
            else:
                self._reply(commands.answer(word, self.server.control))
        except (OSError, ProtocolError) as error:
            journal.debug("Connection from %s dropped: %s", self.client_address, error)

    def _obey(self, order: str) -> None:
        """Do what changes something, if the sender knows the site's secret."""
        nonce = secrets.token_hex(16)
        self._reply(Reply(None, nonce))
        if not commands.is_authentic(self._read(), order, nonce):
            self._reply(WRONG_SECRET)
            raise ProtocolError(f"a wrong answer to the challenge of {order}")
        self._reply(commands.obey(order, self.server.control))
        if order == "stop":
            threading.Event().wait()  # the connection ends with the process: the client's proof

    def _read(self) -> str:
        return read_word(io.BufferedReader(DeadlineStream(self.request, READ_TIMEOUT)))

    def _reply(self, reply: Reply) -> None:
        self.request.settimeout(READ_TIMEOUT)
        self.request.sendall(encode_reply(reply))


class TaskSocketServer(socketserver.ThreadingTCPServer):
    """Listens at one address; each connection has a thread, up to a limit."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    # On POSIX this skips the wait for old connections; two listeners stay impossible.
    allow_reuse_address = os.name == "posix"

    def __init__(self, address: str, port: int, control: Control) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.control = control
        self._slots = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__((address, port), Conversation)

    def server_bind(self) -> None:
        """Bind; an IPv6 address does not take the IPv4 one along."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve the connection in a thread, or close it if there are too many."""
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve the connection, and free its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error of ours; it costs the sender its connection."""
        journal.exception("The connection from %s met an error", client_address)


class Listener:
    """Holds the listening sockets of all addresses of a host, each with its accepting thread.

    They are the lock of the host: who binds the port knows that its predecessor is dead.
    """

    def __init__(self, host: str, port: int, control: Control) -> None:
        self._servers: list[TaskSocketServer] = []
        self._threads: list[threading.Thread] = []
        for address in _addresses(host):
            self._bind(address, self.port if self._servers else port, control)

    def _bind(self, address: str, port: int, control: Control) -> None:
        try:
            self._servers.append(TaskSocketServer(address, port, control))
        except OSError as error:
            if self._servers and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                return  # this machine has no ::1
            self.stop()
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(f"port {port} of {address} is in use") from error
            raise

    @property
    def address(self) -> str:
        """The first address that is bound."""
        return str(self._servers[0].server_address[0])

    @property
    def port(self) -> int:
        """The port that is bound."""
        return int(self._servers[0].server_address[1])

    def start(self) -> None:
        """Accept connections."""
        for server in self._servers:
            thread = threading.Thread(
                target=server.serve_forever,
                args=(POLL_INTERVAL,),
                name="leek-listener",
                daemon=True,
            )
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Accept no more connections, and give the port free."""
        for server in self._servers:
            if self._threads:
                server.shutdown()
            server.server_close()


def _addresses(host: str) -> tuple[str, ...]:
    if host == "localhost":
        return LOCALHOST
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
