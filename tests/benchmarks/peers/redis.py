"""The Redis server, of which a benchmark uses one number that was empty."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def client(url: str) -> Iterator[Any]:
    """Connect while the block runs."""
    from redis import Redis

    connection = Redis.from_url(url)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def empty_number(server: str) -> Iterator[str]:
    """Yield the URL of a number that nobody uses, and flush it at the end."""
    for number in range(15, 0, -1):
        url = f"{server}/{number}"
        with client(url) as redis:
            if redis.dbsize():
                continue
            try:
                yield url
            finally:
                redis.flushdb()
            return
    raise RuntimeError("no number of Redis is empty")


def version(server: str) -> str:
    """Return the server's version."""
    with client(server) as redis:
        return f"Redis {redis.info('server')['redis_version']}"
