"""The way to Celery's broker."""

from contextlib import suppress
from typing import Any

from leek.outcome import Claimed
from leek.pushing import DEFAULT_QUEUE

RUN = "leek.run"  # the name of Celery's task
PATIENCE = 2  # seconds for the broker to answer, so that it cannot hold up a stop for long
_LIMITS: dict[str, dict[str, Any]] = {
    "redis": {"socket_connect_timeout": PATIENCE, "socket_timeout": PATIENCE},
    "amqp": {"read_timeout": PATIENCE, "write_timeout": PATIENCE},
}


class QueueRefused(Exception):
    """The broker is there, and cannot take messages for this one queue."""


class Broker:
    """A connection to the broker of a Celery app, for one thread; made when it is needed.

    Whatever fails, the connection is given up: the next message makes a new one. Nothing here is
    tried twice.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._connection: Any = None
        self._producer: Any = None

    def send(self, claimed: Claimed, queue: str) -> None:
        """Send the ids of a claimed task to Celery's workers; raise whatever keeps it from that.

        That is QueueRefused where it says nothing of other queues.

        Tasks of leek's default queue go where the app's own go, others to the queue of their name.
        """
        try:
            self._connect()
            self._send(claimed, {} if queue == DEFAULT_QUEUE else {"queue": queue})
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Give the connection up."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            with suppress(Exception):  # what is broken may also fail to close
                connection.collect(PATIENCE)

    def _send(self, claimed: Claimed, options: dict[str, Any]) -> None:
        try:
            self._app.send_task(
                RUN,
                args=(claimed.id, claimed.owner, claimed.claim),
                producer=self._producer,
                serializer="json",
                ignore_result=True,
                retry=False,
                add_to_parent=False,
                **options,
            )
        except Exception as error:
            if self._is_of_all(error):
                raise
            raise QueueRefused(str(error)) from error

    def _is_of_all(self, error: Exception) -> bool:
        """Tell whether an error is about the connection, or the broker as a whole.

        Among those of a connection to Redis is KeyError, which Celery also raises for a queue that
        the settings do not name. Where a broker is made of files or tables, it is ChannelError or
        OperationalError that tells that these are gone; what RabbitMQ refuses is of a class below.
        """
        if isinstance(error, LookupError):
            return False
        cause = error.__cause__ or error  # Kombu wraps some
        of_connection = (OSError, *self._connection.connection_errors)
        is_of_connection = isinstance(cause, of_connection)
        return is_of_connection or type(cause).__name__ in ("OperationalError", "ChannelError")

    def _connect(self) -> None:
        if self._producer is None:
            self._connection = self._app.connection_for_write(connect_timeout=PATIENCE)
            limits = _LIMITS.get(self._connection.transport.driver_type, {})
            self._connection.transport_options = {
                **limits,
                **(self._connection.transport_options or {}),
            }
            # `connect` would rest for two seconds between two tries.
            self._connection.ensure_connection(max_retries=1, interval_start=0, timeout=PATIENCE)
            self._producer = self._app.amqp.Producer(self._connection.channel())
