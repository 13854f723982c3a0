"""The only place that moves a task between states: one function, one transaction per move.

    push ──► READY ──claim──► RUNNING ──settle──► SUCCESSFUL
              ▲ ▲ ◄──release, rescue──┤ ├────────► FAILED ──retry_failed──► READY
              │ └─promote── DEFERRED ◄┤
              └─unblock──── BLOCKED ◄─┘

    RUNNING ──take_over──► RUNNING, but of another server: the one that runs it
    READY, DEFERRED, BLOCKED ──cancel──► FAILED         DEFERRED ──run_now──► READY

A suspect is the exception: given back it is DEFERRED, and only `claim_suspect` takes it from there.

Each move of a claimed task is fenced: it changes a row only while it has this owner and this claim
number. Each transaction begins with a write, because one that begins with a read cannot become a
writer on SQLite while another one writes.
"""

from leek.lifecycle.admitting import (
    Opening,
    admit,
    blocked_at,
    forget_gates,
    note_outage,
    note_return,
    openings,
    unblock,
)
from leek.lifecycle.cancelling import cancel, cancel_many
from leek.lifecycle.claiming import claim, claim_one, claim_suspect, promote
from leek.lifecycle.finished import PushedBack, purge, retry_failed
from leek.lifecycle.handing_over import take_over
from leek.lifecycle.pausing import pause, resume
from leek.lifecycle.progressing import note_progress, note_running
from leek.lifecycle.pushing import push, push_unique
from leek.lifecycle.rearranging import WAITING, reassign, run_now
from leek.lifecycle.releasing import (
    postpone,
    release,
    release_abandoned,
    release_all,
    release_claim,
)
from leek.lifecycle.rescuing import Rescued, rescue
from leek.lifecycle.scheduling import begin_schedules, push_due
from leek.lifecycle.sets import Superseded
from leek.lifecycle.settling import begin_with_write, settle, settle_within
from leek.lifecycle.tallying import add_tallies, forget_tallies, with_zones

__all__ = [
    "WAITING",
    "Opening",
    "PushedBack",
    "Rescued",
    "Superseded",
    "add_tallies",
    "admit",
    "begin_schedules",
    "begin_with_write",
    "blocked_at",
    "cancel",
    "cancel_many",
    "claim",
    "claim_one",
    "claim_suspect",
    "forget_gates",
    "forget_tallies",
    "note_outage",
    "note_progress",
    "note_return",
    "note_running",
    "openings",
    "pause",
    "postpone",
    "promote",
    "purge",
    "push",
    "push_due",
    "push_unique",
    "reassign",
    "release",
    "release_abandoned",
    "release_all",
    "release_claim",
    "rescue",
    "resume",
    "retry_failed",
    "run_now",
    "settle",
    "settle_within",
    "take_over",
    "unblock",
    "with_zones",
]
