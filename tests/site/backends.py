"""Backends of Django's tasks framework that a site has made of leek's."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leek.backend import LeekBackend
from leek.django_task import LeekTask
from leek.framework import Task

logger = logging.getLogger("shop")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledTask(LeekTask):
    """A task with a label."""

    label: str = "none"


class LabellingBackend(LeekBackend):
    """Logs what is enqueued, with the option PREFIX of its alias."""

    task_class = LabelledTask

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.options = {**self.options}
        self.prefix = self.options.pop("PREFIX", "")

    def enqueue(self, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Log it, and do as LeekBackend."""
        result = super().enqueue(task, args, kwargs)
        logger.info("%s%s", self.prefix, result.id)
        return result


class PlainBackend(LeekBackend):
    """Has tasks that know nothing of leek."""

    task_class = Task  # type: ignore[assignment]


class PoorBackend(LeekBackend):
    """Supports next to nothing."""

    supports_defer = False
    supports_async_task = False
    supports_priority = False
