"""The only place that knows that databases differ."""

from leek.database.claims import ClaimStatement
from leek.database.clock import (
    Now,
    SecondsSince,
    after,
    as_stored,
    aware,
    in_utc,
    now_at,
    utc_offset,
)
from leek.database.compiled import CompiledQuery
from leek.database.connecting import (
    has_table,
    impatient_connections,
    is_connected,
    thrifty_connections,
)
from leek.database.counting import counts
from leek.database.distinct import DistinctValues
from leek.database.errors import is_transient
from leek.database.exclusion import alone_at
from leek.database.fields import ExactCharField
from leek.database.indexes import StateIndex
from leek.database.inserts import insert_rows, insert_unless_taken, insert_values
from leek.database.links import have_brief_transactions, watched_links
from leek.database.literals import Literal
from leek.database.matching import is_among, is_of
from leek.database.route import address_towards
from leek.database.row_locks import unlocked, update_unlocked
from leek.database.sqlite import sqlite_shortcomings
from leek.database.write_lock import has_one_writer, rest_between_writes, write_lock

__all__ = [
    "ClaimStatement",
    "CompiledQuery",
    "DistinctValues",
    "ExactCharField",
    "Literal",
    "Now",
    "SecondsSince",
    "StateIndex",
    "address_towards",
    "after",
    "alone_at",
    "as_stored",
    "aware",
    "counts",
    "has_one_writer",
    "has_table",
    "have_brief_transactions",
    "impatient_connections",
    "in_utc",
    "insert_rows",
    "insert_unless_taken",
    "insert_values",
    "is_among",
    "is_connected",
    "is_of",
    "is_transient",
    "now_at",
    "rest_between_writes",
    "sqlite_shortcomings",
    "thrifty_connections",
    "unlocked",
    "update_unlocked",
    "utc_offset",
    "watched_links",
    "write_lock",
]
