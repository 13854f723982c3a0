"""Numbers and spans of time as words, in the language of who reads them."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format, time_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from leek.database import aware
from leek.figures import Number

MINUTE, HOUR, DAY = 60, 3600, 86400  # seconds
NOTHING = "\N{EN DASH}"


def number(value: float) -> str:
    """Return a number with its thousands set apart, and one decimal place if it has one."""
    places = 1 if value % 1 else 0
    return str(number_format(round(value, places), decimal_pos=places, force_grouping=True))


def count(value: int) -> str:
    """Return a count; one that ends where counting did has a plus."""
    return f"{number(value)}{'+' if isinstance(value, Number) and value.is_capped else ''}"


def percentage(share: float) -> str:
    """Return a share of one as so many percent."""
    return _("%(number)s %%") % {"number": number(_rounded(share * 100))}


def span(seconds: float | None) -> str:
    """Return how long a span of time is, in two figures or two units."""
    if seconds is None:
        return NOTHING
    if (milliseconds := _rounded(seconds * 1000)) < 1000:
        return _("%(number)s ms") % {"number": number(milliseconds)}
    if (rounded := _rounded(seconds)) < MINUTE:
        return _("%(number)s s") % {"number": number(rounded)}
    return _long_span(round(seconds))


def _rounded(value: float) -> float:
    return round(value, 1 if value < 10 else None)


def _long_span(seconds: int) -> str:
    minutes, hours, days = seconds // MINUTE % 60, seconds // HOUR % 24, seconds // DAY
    if seconds < HOUR:
        values, text = (minutes, seconds % MINUTE), (_("%(one)s min"), _("%(one)s min %(two)s s"))
    elif seconds < DAY:
        values, text = (hours, minutes), (_("%(one)s h"), _("%(one)s h %(two)s min"))
    else:
        values, text = (days, hours), (_("%(one)s d"), _("%(one)s d %(two)s h"))
    one, two = values
    return text[1 if two else 0] % {"one": number(one), "two": number(two)}


def moment(at: datetime) -> SafeString:
    """Return when something is as a few words: the time of day, and the date of another day."""
    local = localtime(aware(at))
    clock = time_format(local, "H:i:s")
    is_today = local.date() == localtime(aware(timezone.now())).date()
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(),
        date_format(local, "DATETIME_FORMAT"),
        clock if is_today else f"{date_format(local, 'SHORT_DATE_FORMAT')} {clock}",
    )


def address_of(page: str, site: AdminSite, *args: Any) -> str:
    """Return the address of one of leek's pages in one of the admins that a site may have."""
    return reverse(f"admin:leek_{page}", args=args, current_app=site.name)


def address_of_task(site: AdminSite, task_id: int) -> str:
    """Return the address of a task's page."""
    return address_of("queuedtasks_change", site, task_id)


def address_of_tasks(site: AdminSite, **filters: Any) -> str:
    """Return the address of the list of tasks, filtered by these parameters."""
    return f"{address_of('queuedtasks_changelist', site)}?{urlencode(filters)}"
