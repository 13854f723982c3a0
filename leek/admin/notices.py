"""What a list says of how much was looked through."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from leek.admin import looking
from leek.admin.window import Window

ALL_TASKS = "all_tasks"  # the parameter of an address by which all of them are looked through


@dataclass(frozen=True)
class Notice:
    """A sentence, and where its link leads, if it has one."""

    text: str
    link: str = ""
    link_text: str = ""


def notices(
    look: looking.Look, address: Callable[[Mapping[str, Any]], str], all_tasks: bool
) -> list[Notice]:
    """Return what is to be said; `address` returns that of the list with other parameters."""
    said = []
    if look.omits:
        link = address({ALL_TASKS: 1})
        said.append(Notice(_of_window(look.omits), link, _("Look through all")))
    elif all_tasks:
        link = address({ALL_TASKS: None})
        said.append(Notice(_("Looked through all tasks."), link, _("Look through the newest")))
    if look.omits_candidates:
        said.append(Notice(_of_candidates()))
    return said


def _of_window(window: Window) -> str:
    number, shown = window.size, number_format(window.size, force_grouping=True)
    if not window.is_newest:
        text = ngettext(
            "Looked through %(number)s task, from task %(highest)s back.",
            "Looked through %(number)s tasks, from task %(highest)s back.",
            number,
        )
    elif window.of_failures:
        text = ngettext(
            "Looked through the newest %(number)s failed task.",
            "Looked through the newest %(number)s failed tasks.",
            number,
        )
    else:
        text = ngettext(
            "Looked through the newest %(number)s task.",
            "Looked through the newest %(number)s tasks.",
            number,
        )
    return text % {"number": shown, "highest": window.highest}


def _of_candidates() -> str:
    return ngettext(
        "More tasks may have this in their arguments: the newest %(number)s was compared.",
        "More tasks may have this in their arguments: the newest %(number)s were compared.",
        looking.CANDIDATES,
    ) % {"number": number_format(looking.CANDIDATES, force_grouping=True)}
