"""The clock of the database."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connections, models
from django.db.models import functions
from django.db.models.sql.compiler import SQLCompiler
from django.utils.timezone import is_naive, make_aware, make_naive, now


class Now(functions.Now):
    """The database's clock, in the time zone in which Django stores times there.

    Django's own Now gives UTC on SQLite and, on MySQL, the time in the zone of the session, which
    Django does not set. Here both count from UTC; PostgreSQL needs no help, its times have a zone.
    """

    def as_mysql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """Return UTC and the zone's distance, since a server need not know zones by name."""
        template = f"(UTC_TIMESTAMP(6) + INTERVAL {_from_utc(connection)} SECOND)"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """Return UTC and the zone's distance, to the millisecond."""
        modifier = f"{_from_utc(connection):+} seconds"
        template = f"STRFTIME('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f', 'NOW', '{modifier}')"
        return self.as_sql(compiler, connection, template=template, **context)


class SecondsSince(models.Func):
    """How many seconds ago a time was, by the database's clock: quicker to read than the time.

    A time of a site without zones is taken as it stands, also across a change to summer time.
    """

    output_field = models.FloatField()

    def __init__(self, time: str) -> None:
        super().__init__(Now(), time)

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """Return the seconds of an interval, as a double."""
        template = "DATE_PART('epoch', %(expressions)s)"
        return self.as_sql(compiler, connection, template=template, arg_joiner=" - ", **context)

    def as_mysql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """Return the microseconds between the two, as a double number of seconds."""
        template = "TIMESTAMPDIFF(MICROSECOND, %(expressions)s) / -1e6"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """Return the difference of two days with fractions, which are exact to a millisecond."""
        template = "((JULIANDAY(%(expressions)s)) * 86400.0)"
        return self.as_sql(
            compiler, connection, template=template, arg_joiner=") - JULIANDAY(", **context
        )


_IN_UTC = {  # as a time without a zone; SQLite has the clock of this process
    "postgresql": "SELECT STATEMENT_TIMESTAMP() AT TIME ZONE 'UTC'",
    "mysql": "SELECT UTC_TIMESTAMP(6)",
}


def now_at(alias: str) -> datetime:
    """Return what time it is by the database's clock, as Django stores times."""
    connection = connections[alias]
    if connection.vendor not in _IN_UTC:
        return now()
    with connection.cursor() as cursor:
        cursor.execute(_IN_UTC[connection.vendor])
        (time,) = cursor.fetchone()
    return as_stored(time.replace(tzinfo=UTC))


def utc_offset(alias: str) -> int:
    """Return the seconds that statements with `Now` hold, where a database has no zones."""
    return _from_utc(connections[alias])


def _from_utc(connection: Any) -> int:
    """Return how many seconds the zone of the stored times is ahead of UTC at the moment.

    That is the connection's zone with USE_TZ (UTC, if its TIME_ZONE does not say otherwise), and
    without it this process's local time, which Django sets by TIME_ZONE.
    """
    offset = datetime.now(UTC).astimezone(connection.timezone).utcoffset()
    return round(offset.total_seconds()) if offset else 0


def aware(time: datetime) -> datetime:
    """Return a time of the database as one that has a zone, also without USE_TZ."""
    return make_aware(time) if is_naive(time) else time


def in_utc(time: datetime) -> datetime:
    """Return a time in UTC; one without a zone is taken for one of the site's."""
    return aware(time).astimezone(UTC)


def as_stored(time: datetime) -> datetime:
    """Return a time that has a zone as Django stores it."""
    return time if settings.USE_TZ else make_naive(time)


def after(seconds: float) -> models.Expression:
    """Return the time that it will be in so many seconds, by the database's clock."""
    return models.ExpressionWrapper(
        Now() + timedelta(seconds=seconds), output_field=models.DateTimeField()
    )
