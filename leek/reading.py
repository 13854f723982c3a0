"""Reads a stored task with all that holds for it: for who runs it, and for who explains it."""

from collections.abc import Mapping
from typing import NamedTuple

from leek import serializer
from leek.conditions import Conditions
from leek.contracts import Contract, contract_of
from leek.models import queue_database
from leek.policy import NOTHING, Terms, check_atomic, policy_of, restored
from leek.task import Task


class Reading(NamedTuple):
    """A task that was read, and what holds for it."""

    task: Task
    contract: Contract
    terms: Terms
    conditions: Conditions


def read(
    name: str, payload: str, mode: str, aliases: Mapping[str, str], of_settings: Terms
) -> Reading:
    """Return a task that can be run; `of_settings` are the terms of those that have no others.

    Raise CallableNotFound where it has to wait for a deployment, and anything else where it is
    wrong for good: importing it runs code of the site's.
    """
    task = serializer.load_task(payload, mode, aliases)
    contract = contract_of(task)
    terms = _terms_of(task, contract, of_settings)
    if terms.atomic:
        check_atomic(name, terms.atomic, queue_database())
    return Reading(task, contract, terms, terms.conditions(name, task.args, task.kwargs))


def _terms_of(task: Task, contract: Contract, terms: Terms) -> Terms:
    """Return what holds for a task: the push wins over the policy, that over the settings."""
    if (of_alias := contract.policy_of(task)) is not NOTHING:
        terms = terms.changed_by(of_alias)
    if policy := policy_of(task.callable):
        terms = terms.changed_by(policy)
    if task.options:
        terms = terms.changed_by(restored(task.options))
    return terms
