"""What has to be known of a task to explain it, looked up when it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from leek import leases, lifecycle
from leek.conditions import LIMIT, RATE
from leek.conf import config, places
from leek.database import Now, aware, counts, is_among
from leek.exceptions import CallableNotFound
from leek.figures import Number
from leek.models import FailedAttempts, Gates, PausedQueues, QueuedTasks, Servers, queue_database
from leek.places import Place
from leek.policy import terms_of_settings
from leek.protocol import LOCALHOST
from leek.reading import Reading, read

FAR_BEHIND = 10_000  # tasks that are ahead are counted so far
MOST_HOLDERS = 10  # tasks that are named of those that have taken a limit


@dataclass
class Case:
    """A task; `is_listening` asks whether a server answers where the settings say."""

    row: QueuedTasks
    is_listening: Callable[[], bool]

    @cached_property
    def servers(self) -> list[Servers]:
        """The servers that could run it; one that was just killed still has its lease."""
        servers = list(Servers.objects.filter(expires_at__gte=Now(), port__gt=0))
        if self.is_listening():
            return servers
        return [server for server in servers if not _may_be_asked(server)]

    @property
    def is_served(self) -> bool:
        """Whether one of them serves its queue."""
        this = QueuedTasks.objects.filter(pk=self.row.pk)
        return any(this.of_queues(server.queues).exists() for server in self.servers)

    @property
    def paused_since(self) -> datetime | None:
        """Since when its queue is paused, be it by a name that the database takes for this one."""
        rows = PausedQueues.objects.order_by("paused_at").values_list("name", "paused_at")
        alias, queue = queue_database(), self.row.queue
        return next((at for name, at in rows if is_among(alias, queue, [name])), None)

    @cached_property
    def _reading(self) -> Reading | BaseException:
        """The task as a server would read it, or what it would raise there."""
        row = self.row
        try:
            return read(
                row.name, row.payload, config.SERIALIZER, config.ALIASES, terms_of_settings()
            )
        except (Exception, SystemExit) as error:  # noqa: BLE001 (an import may even call sys.exit)
            return error

    @property
    def not_found(self) -> str | None:
        """Why it does not import in this process, where a server would wait for it to do so."""
        error = self._reading
        return _told(error.__cause__ or error) if isinstance(error, CallableNotFound) else None

    @property
    def unreadable(self) -> str | None:
        """Why it would fail at once."""
        error = self._reading
        if isinstance(error, Reading | CallableNotFound):
            return None
        return _told(error)

    @property
    def max_retries(self) -> int | None:
        """How many tries it has in all, None where it cannot be read."""
        reading = self._reading
        return reading.terms.retry.max_retries if isinstance(reading, Reading) else None

    @cached_property
    def ahead(self) -> tuple[Number, Number]:
        """How many tasks of its queue are more urgent, and how many as urgent came earlier."""
        same_queue = QueuedTasks.objects.ready().filter(queue=self.row.queue)
        sets = [
            same_queue.filter(priority__gt=self.row.priority),
            same_queue.filter(priority=self.row.priority, pk__lt=self.row.pk),
        ]
        urgent, earlier = (
            Number(number, is_capped=number == FAR_BEHIND) for number in counts(sets, FAR_BEHIND)
        )
        return urgent, earlier

    @property
    def relayed(self) -> Number:
        """How many tasks of its queue were handed to Celery, and are not begun."""
        running = QueuedTasks.objects.running().filter(queue=self.row.queue)
        (number,) = counts([running.filter(owner__workers=0)], FAR_BEHIND)
        return Number(number, is_capped=number == FAR_BEHIND)

    @property
    def latest_failure(self) -> FailedAttempts | None:
        """Its latest attempt that failed."""
        return self.row.failed_attempts.order_by("pk").last()

    @cached_property
    def gate(self) -> Gates | None:
        """What is known of the gate at which it waits."""
        return Gates.objects.filter(name=self.row.blocked_by).first()

    @cached_property
    def seconds_to_room(self) -> float | None:
        """In how many seconds its limit or rate may let it go on.

        None: at once. 0: nobody knows, because that is when another task ends.
        """
        name = self.row.blocked_by or ""
        if not name.startswith((LIMIT, RATE)):
            return None
        opening = lifecycle.openings([name])[name]
        return None if opening.tasks else opening.seconds_to_next or 0.0

    @cached_property
    def holders(self) -> list[int]:
        """The ids of tasks that have taken its limit."""
        running = QueuedTasks.objects.running().filter(limited_by=self.row.blocked_by)
        return [*running.order_by("pk").values_list("pk", flat=True)[:MOST_HOLDERS]]

    @cached_property
    def owner(self) -> Servers | None:
        """The server that has claimed it."""
        return Servers.objects.filter(pk__in=[self.row.owner_id]).first()

    @property
    def owner_is_alive(self) -> bool:
        """Whether that one's lease lives."""
        alive = Servers.objects.filter(expires_at__gte=Now())
        return alive.filter(pk__in=[self.row.owner_id]).exists()

    @property
    def running_since(self) -> datetime | None:
        """Since when that one has been running it, if it is noted."""
        since = self.owner and self.owner.running.get(str(self.row.pk))
        return aware(datetime.fromisoformat(since)) if since else None


def _may_be_asked(server: Servers) -> bool:
    """Tell whether this may be a server where the settings say."""
    return any(_may_be_at(place, server) for place in places())


def _may_be_at(place: Place, server: Servers) -> bool:
    """Tell whether this may be the server at a place; one of another host is not at this one."""
    is_here = place.host in ("localhost", *LOCALHOST)
    on_host = server.host == leases.this_host() or not is_here
    return on_host and server.port == place.port


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
